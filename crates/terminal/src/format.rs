//! `-o`: the words for the form of an answer, the same in every command.
//!
//! A command that makes files takes a path by `-o` instead, and has one form.

use clap::ValueEnum;

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people
    #[default]
    Text,
    /// JSON for programs
    Json,
}

/// The form of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// A table that fits the screen
    #[default]
    Text,
    /// All columns, in full
    Wide,
    /// JSON for programs
    Json,
}

/// The form of an answer that also fits a ticket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PageFormat {
    /// Text for people
    #[default]
    Text,
    /// JSON for programs
    Json,
    /// Markdown for a ticket
    Markdown,
}
