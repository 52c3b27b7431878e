//! What can be asked for on the command line.

use std::path::PathBuf;

use clap::Parser;

/// Measures Archway against nginx and docker-registry.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// The release binary of Archway.
    #[arg(long)]
    pub(crate) archway: PathBuf,
    /// A folder on a real file system for caches and bodies; what was in it is removed.
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// How often each contender runs; medians are shown.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) runs: u16,
    /// Only these measures, by name.
    #[arg(long, value_delimiter = ',', value_parser = measures())]
    pub(crate) only: Vec<String>,
    /// Where the report goes besides standard output, its charts in a folder of that name. In a page
    /// with a place for it, it takes the place of the last run.
    #[arg(long)]
    pub(crate) output: Option<PathBuf>,
    /// The program that fills a cache folder for the measure `scale`: `populate FOLDER BLOBS TAGS`.
    #[arg(long)]
    pub(crate) populate: Option<PathBuf>,
}

impl Options {
    /// The command that measures the same again.
    pub(crate) fn command(&self) -> String {
        let runs = format!("make bench RUNS={}", self.runs);
        if self.only.is_empty() {
            return runs;
        }
        format!("{runs} ONLY={}", self.only.join(","))
    }

    /// Whether the measure of this name is to run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == name)
    }
}

fn measures() -> clap::builder::PossibleValuesParser {
    let all = crate::measure::ALL.iter();
    clap::builder::PossibleValuesParser::new(all.map(|measure| measure.name))
}
