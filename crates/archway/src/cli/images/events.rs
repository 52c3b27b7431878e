//! `archway events`: what a running Archway logs, as it happens.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use admin_api::{Event, Events, Level};
use clap::Args;
use client::{Server, Watch};
use terminal::table::printable;
use tokio::signal::unix::{SignalKind, signal};

use super::{Format, ServerArgs};
use crate::cli::output::{CommandOutput, Failure, RuntimeError};

/// Follow what a running Archway logs: failures, what was done about them, and what changed
#[derive(Debug, Args)]
#[command(after_help = "\
It begins with the last events that are remembered and goes on until Ctrl-C. Requests are none: the access log
has those. With -o json each line is one event.

Exit codes: 0 followed until it was ended; 1 no answer came, or the server ended; 2 the configuration is not
valid.

Examples:
  archway events
  archway events --last 100 --no-follow
  archway events -o json --admin http://127.0.0.1:9464")]
pub(crate) struct FollowEvents {
    /// Remembered events to begin with
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 20)]
    last: usize,
    /// End after the remembered events
    #[arg(long)]
    no_follow: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

impl FollowEvents {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        self.server.ask(async |_, server| self.follow(server).await)
    }

    async fn follow(&self, server: &Server) -> Result<CommandOutput, Failure> {
        if self.no_follow {
            let events = server.events().await?;
            return Ok(CommandOutput::success(self.lines(&events, self.last)));
        }
        let broken = |error: io::Error| Failure::negative(&RuntimeError(error));
        let mut interrupted = signal(SignalKind::interrupt()).map_err(broken)?;
        let mut terminated = signal(SignalKind::terminate()).map_err(broken)?;
        let watch = server.watch_events().await?;
        tokio::select! {
            failure = self.print(watch) => failure?,
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
        Ok(CommandOutput::success(String::new()))
    }

    /// Prints until the stream ends, or nobody reads any more.
    async fn print(&self, mut watch: Watch<Events>) -> Result<(), Failure> {
        let mut most = self.last;
        loop {
            let lines = self.lines(&watch.next().await?, most);
            let mut out = io::stdout().lock();
            let written = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
            if written.is_err() {
                return Ok(());
            }
            // All that comes from now on is new.
            most = usize::MAX;
        }
    }

    /// The last `most` events, the oldest first.
    fn lines(&self, events: &Events, most: usize) -> String {
        let mut lines = String::new();
        for event in events.events.iter().take(most).rev() {
            match self.output {
                Format::Text => lines.push_str(&line(event)),
                Format::Json => {
                    let json = serde_json::to_string(event);
                    lines.push_str(&json.expect("texts and numbers always serialise"));
                }
            }
            lines.push('\n');
        }
        lines
    }
}

fn line(event: &Event) -> String {
    let level = match event.level {
        Level::Error => "ERROR",
        Level::Warn => "WARN",
        Level::Info => "INFO",
    };
    let mut line = format!("{} {level:5} {}: {}", event.time, event.part, event.message);
    for (name, value) in &event.fields {
        let _ = write!(line, " {name}={value}");
    }
    // Fields hold what strangers wrote.
    printable(line)
}

#[cfg(test)]
mod tests {
    use admin_api::Time;

    use super::*;

    #[test]
    fn a_line_has_all_of_an_event_and_controls_no_terminal() {
        let event = Event {
            number: 7,
            time: Time::at(1_796_000_000),
            level: Level::Warn,
            part: "pull".into(),
            message: "a download failed".into(),
            fields: [("error".into(), "\u{1b}[2Jgone".into())].into(),
        };
        assert_eq!(
            line(&event),
            "2026-11-30T00:53:20Z WARN  pull: a download failed error=\\u{1b}[2Jgone"
        );
    }
}
