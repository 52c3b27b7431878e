//! `archway wanted`: what clients of an offline site asked for, and is not there.

use clap::Args;
use client::Server;

use super::{Format, ServerArgs};
use crate::cli::output::{CommandOutput, Failure, json};

/// List what clients of offline upstreams asked for and did not get
#[derive(Debug, Args)]
#[command(after_help = "\
The text is a list of images as `archway bundle export --from-file` and `archway warm --from-file` read
it, with nothing of any client in it. What has arrived since is not listed any more.

Exit codes: 0 listed; 1 no answer came; 2 the configuration is not valid.

Examples:
  archway wanted > wanted.txt
  archway wanted --since 7d -o json")]
pub(crate) struct ListWanted {
    /// List only what was asked for within this time, for example 7d
    #[arg(long, value_name = "DURATION")]
    since: Option<humantime::Duration>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

impl ListWanted {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        self.server.ask(async |_, server| self.list(server).await)
    }

    async fn list(&self, server: &Server) -> Result<CommandOutput, Failure> {
        let list = server.wanted(self.since.map(Into::into)).await?;
        Ok(CommandOutput::success(match self.output {
            Format::Text => list.to_string(),
            Format::Json => json(&list),
        }))
    }
}
