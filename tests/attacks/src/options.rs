//! What can be asked for on the command line.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::PossibleValuesParser;

/// Attacks Archway and judges what it held.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Only these attacks, by name.
    #[arg(long, value_delimiter = ',', value_parser = attacks())]
    pub(crate) only: Vec<String>,
    /// A page that has marks for the table, which is written between them.
    #[arg(long)]
    pub(crate) document: Option<PathBuf>,
}

impl Options {
    /// Whether the attack of this name is to run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == name)
    }
}

fn attacks() -> PossibleValuesParser {
    PossibleValuesParser::new(crate::attack::ALL.iter().map(|attack| attack.name))
}
