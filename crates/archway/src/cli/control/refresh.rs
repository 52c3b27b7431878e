//! `archway refresh`: has a running Archway ask an upstream for tags now.

use std::fmt::Write as _;

use clap::Args;
use client::ControlSocket;
use control::Refreshed;
use terminal::format::Format;

use super::SocketArgs;
use crate::cli::output::{CommandOutput, Exit, Failure, json};

/// Ask the upstreams for tags now, however fresh or immutable they are
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 every tag was answered for; 1 one was not: its upstream is offline, does not have it or gave
no answer, or Archway gave none; 2 the configuration is not valid.

Example:
  archway refresh docker.io/library/hello-world:latest")]
pub(crate) struct Refresh {
    /// Images as `docker pull` takes them
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    socket: SocketArgs,
}

impl Refresh {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        self.socket.ask(async |socket| self.refresh(socket).await)
    }

    /// Asks for each, so that one that fails keeps none of the others back.
    async fn refresh(&self, socket: &ControlSocket) -> Result<CommandOutput, Failure> {
        let (mut done, mut notes) = (Vec::new(), String::new());
        for image in &self.images {
            match socket.refresh(image).await {
                Ok(refreshed) => done.push(refreshed),
                Err(error) => {
                    let failure = CommandOutput::from(Failure::from(error));
                    let _ = write!(notes, "{image}: {}", failure.err);
                }
            }
        }
        let out = match self.output {
            Format::Json => json(&done),
            Format::Text => done.iter().map(line).collect(),
        };
        let exit = if notes.is_empty() {
            Exit::Success
        } else {
            Exit::Negative
        };
        Ok(CommandOutput::new(out, exit).with_notes(notes))
    }
}

fn line(refreshed: &Refreshed) -> String {
    let Refreshed {
        name,
        digest,
        previous,
    } = refreshed;
    match previous {
        Some(previous) if previous == digest => format!("{name}: unchanged, {digest}\n"),
        Some(previous) => format!("{name}: moved from {previous} to {digest}\n"),
        None => format!("{name}: new, {digest}\n"),
    }
}
