//! `archway cache rm`: removes blobs and images from the cache of a stopped server.

use cache::inspect::Removal;
use clap::Args;
use control::RemovedName;

use super::{DirectoryArgs, Format};
use crate::cli::{
    output::{CommandOutput, Failure, json},
    removed,
};

const HELP: &str = "\
As `archway rm`, of which --help says what goes with a name, for a cache whose server does not run.

Exit codes: 0 all removed; 1 a name is not in the cache, or a bundle keeps it; 2 nothing could be
removed.

Examples:
  archway cache rm docker.io/library/hello-world:latest
  archway cache rm sha256:e692418e4cbaf90ca69d05a66403747baa33ee08806650b51fab815ad7fc331f";

/// Remove blobs and images; needs the directory without a server
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct RemoveStored {
    #[command(flatten)]
    args: DirectoryArgs,
    /// Digests, or images as `docker pull` takes them
    #[arg(value_name = "DIGEST|IMAGE", required = true)]
    names: Vec<String>,
}

impl RemoveStored {
    pub(super) fn run(&self) -> Result<CommandOutput, Failure> {
        let names = removed::parse(&self.names)?;
        // With `--path` there is no configuration to say what a name means.
        let config = self.args.place.configuration()?;
        let directory = self.args.open()?.directory;
        let removals: Vec<Removal> = names.iter().map(|name| name.removal(&config)).collect();
        let done = directory.own()?.remove(&removals)?;
        let rows = std::iter::zip(&self.names, &done);
        let rows: Vec<RemovedName> = rows
            .map(|(name, done)| RemovedName::new(name, done))
            .collect();
        Ok(match self.args.output {
            Format::Json => CommandOutput::new(json(&rows), removed::exit(&rows)),
            Format::Text => removed::text(&rows),
        })
    }
}
