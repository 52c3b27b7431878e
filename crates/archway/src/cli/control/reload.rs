//! `archway reload`: has a running Archway read its configuration again.

use std::fmt::Write as _;

use clap::Args;
use client::{ClientError, ControlSocket};
use control::{ChangedKey, Reloaded};
use http::StatusCode;
use terminal::format::Format;

use super::SocketArgs;
use crate::cli::output::{CommandOutput, Failure, json};

/// Have the running Archway read its configuration again
#[derive(Debug, Args)]
#[command(after_help = "\
Without a restart: upstreams with their rates, rules and credentials, platforms, prefetch, log levels,
names, and listeners, which are opened, changed and closed. What needs a restart is listed. Requests under
way end as they began. SIGHUP does the same.

A file with a mistake changes nothing. Archway reads the file it was started with; --config only tells
this command where the socket is.

Exit codes: 0 done, or nothing has changed; 1 it could not be done, or no answer came; 2 the file is not
valid.

Example:
  archway reload --config /etc/archway.toml")]
pub(crate) struct Reload {
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    socket: SocketArgs,
}

impl Reload {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        self.socket.ask(async |socket| self.reload(socket).await)
    }

    async fn reload(&self, socket: &ControlSocket) -> Result<CommandOutput, Failure> {
        match socket.reload().await {
            Ok(reloaded) => Ok(CommandOutput::success(match self.output {
                Format::Json => json(&reloaded),
                Format::Text => text(&reloaded),
            })),
            Err(ClientError::Refused {
                status: StatusCode::UNPROCESSABLE_ENTITY,
                message,
                ..
            }) => Err(Failure::invalid(&message)),
            Err(error) => Err(error.into()),
        }
    }
}

fn text(reloaded: &Reloaded) -> String {
    let mut text = match &reloaded.changed[..] {
        [] => "nothing has changed\n".to_owned(),
        changed => "changed:\n".to_owned() + &lines(changed),
    };
    if !reloaded.needs_restart.is_empty() {
        text += "as before, until a restart:\n";
        text += &lines(&reloaded.needs_restart);
    }
    text
}

fn lines(keys: &[ChangedKey]) -> String {
    let mut text = String::new();
    for key in keys {
        let _ = writeln!(text, "  {key}");
    }
    text
}
