//! The `archway` binary: the command line, and the client of a running Archway.
//!
//! It owns what only a command needs: flags, help pages, tables and exit codes (`cli`), and questions
//! to a running Archway or straight to an upstream (`client`), which knows nothing of flags and exit
//! codes.
//!
//! It refuses to serve: `archway serve` hands its configuration to [`proxy::app::App`] and waits.
//! Standard output has one writer, [`cli::CommandOutput::deliver`]; only progress, the findings
//! of a long check and the pictures of `archway top` are written earlier.
//!
//! A new command is a file in `cli/` and a line in the table of commands: `Command` in `cli.rs`,
//! or `CacheCommand` in `cli/cache.rs`.

mod cli;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, CommandOutput};

fn main() -> ExitCode {
    let command = Cli::parse().command;
    command.run().unwrap_or_else(CommandOutput::from).deliver()
}
