//! `archway rm`: removes content from a running Archway.

use clap::Args;
use client::ControlSocket;
use terminal::format::Format;

use super::SocketArgs;
use crate::cli::{
    output::{CommandOutput, Failure, json},
    removed,
};

const HELP: &str = "\
A tag goes with the manifests and blobs of its image, except for those that another tag, another stored
manifest or another repository needs. So does REPOSITORY@DIGEST, with the tags there that point at it. A
digest alone goes from all repositories, with all tags that point at it.

Clients that are reading what goes read on. The next pull fetches it from the upstream again.

Exit codes: 0 all removed; 1 a name is not in the cache, or no answer came; 2 a name or the
configuration is not valid, and nothing was removed.

Examples:
  archway rm docker.io/library/hello-world:latest
  archway rm sha256:e692418e4cbaf90ca69d05a66403747baa33ee08806650b51fab815ad7fc331f";

/// Remove images and blobs while Archway runs
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Rm {
    /// Digests, or images as `docker pull` takes them
    #[arg(value_name = "DIGEST|IMAGE", required = true)]
    names: Vec<String>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    socket: SocketArgs,
}

impl Rm {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        removed::parse(&self.names)?;
        self.socket.ask(async |socket| self.remove(socket).await)
    }

    async fn remove(&self, socket: &ControlSocket) -> Result<CommandOutput, Failure> {
        let rows = socket.remove(&self.names).await?;
        Ok(match self.output {
            Format::Json => CommandOutput::new(json(&rows), removed::exit(&rows)),
            Format::Text => removed::text(&rows),
        })
    }
}
