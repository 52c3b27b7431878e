//! `archway top`: what a running Archway does, drawn again each second.

mod screen;

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use admin_api::{CacheTotals, Fills, Upstreams};
use clap::Args;
use client::{ClientError, Server};
use protocol::error_chain::ErrorChain;
use serde::Serialize;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

use super::{Format, ServerArgs};
use crate::cli::output::{CommandOutput, Failure, RuntimeError, json};

/// The time between two pictures.
const PERIOD: Duration = Duration::from_secs(1);

/// How long the sums of the cache are shown: they cost the server a look at a part of its index.
const TOTALS_AGE: Duration = Duration::from_secs(5);

/// Show downloads, upstreams and the cache as they are now, each second
#[derive(Debug, Args)]
#[command(after_help = "\
Ctrl-C ends it. Where standard output is no terminal, or with -o json, it prints one picture and ends.

Exit codes: 0 shown; 1 no answer came; 2 the configuration is not valid.

Examples:
  archway top
  archway top -o json --admin http://127.0.0.1:9464")]
pub(crate) struct Top {
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

/// What one picture shows.
#[derive(Debug, Serialize)]
struct Picture {
    fills: Fills,
    upstreams: Upstreams,
    cache: CacheTotals,
}

impl Picture {
    /// The state now; `known` sums are not asked for again.
    async fn take(server: &Server, known: Option<CacheTotals>) -> Result<Self, ClientError> {
        Ok(Self {
            fills: server.fills().await?,
            upstreams: server.upstreams().await?,
            cache: match known {
                Some(known) => known,
                None => server.evictions(0).await?.cache,
            },
        })
    }
}

impl Top {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        self.server.ask(async |_, server| self.show(server).await)
    }

    async fn show(&self, server: &Server) -> Result<CommandOutput, Failure> {
        let first = Picture::take(server, None).await?;
        if let Format::Json = self.output {
            return Ok(CommandOutput::success(json(&first)));
        }
        if !io::stdout().is_terminal() {
            return Ok(CommandOutput::success(screen::plain(&first)));
        }
        watch(server, first).await
    }
}

/// Draws until a signal ends it, or the terminal is gone.
async fn watch(server: &Server, first: Picture) -> Result<CommandOutput, Failure> {
    let broken = |error: io::Error| Failure::negative(&RuntimeError(error));
    let mut interrupted = signal(SignalKind::interrupt()).map_err(broken)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(broken)?;
    let mut tick = interval(PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut picture, mut summed) = (first, Instant::now());
    let mut note: Option<String> = None;
    let drawing = async {
        loop {
            tick.tick().await;
            if draw(&screen::drawn(&picture, note.as_deref())).is_err() {
                return;
            }
            let known = (summed.elapsed() < TOTALS_AGE).then(|| picture.cache.clone());
            let is_new = known.is_none();
            match Picture::take(server, known).await {
                Ok(next) => (picture, note) = (next, None),
                // The last picture stays, with the reason why it is old.
                Err(error) => note = Some(ErrorChain(&error).to_string()),
            }
            if is_new {
                summed = Instant::now();
            }
        }
    };
    let shown = draw(screen::ENTER);
    tokio::select! {
        () = drawing => {}
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    if shown.is_ok() {
        let _ = draw(screen::LEAVE);
    }
    Ok(CommandOutput::success(String::new()))
}

fn draw(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
