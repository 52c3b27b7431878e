//! `archway fills`: what a running Archway downloads now, and what it downloaded last.

use admin_api::{EndedFill, Fills, RunningFill};
use clap::Args;
use client::Server;
use terminal::table::{Side, Table, short, size};

use super::{Format, ServerArgs};
use crate::cli::output::{CommandOutput, Failure, counted, json};

/// List the downloads that run, and the last hundred that ended
#[derive(Debug, Args)]
#[command(after_help = "\
BY is who started a download: a client, another replica, or prefetch. STATE is where its bytes come from, or
what it waits for: a slot, the upstream's answer, room on the disk, bytes, or the disk (storing). RESUMED is
what an earlier download had left.

Exit codes: 0 listed; 1 no answer came; 2 the configuration is not valid.

Examples:
  archway fills
  archway fills -o json --admin http://127.0.0.1:9464")]
pub(crate) struct ListFills {
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

impl ListFills {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        self.server.ask(async |_, server| self.list(server).await)
    }

    async fn list(&self, server: &Server) -> Result<CommandOutput, Failure> {
        let fills = server.fills().await?;
        Ok(CommandOutput::success(match self.output {
            Format::Text => text(&fills),
            Format::Json => json(&fills),
        }))
    }
}

fn text(fills: &Fills) -> String {
    let count = counted(fills.running.len() as u64, "download");
    let mut page = format!("{count} of {} running\n", fills.max);
    if !fills.running.is_empty() {
        page.push_str(&running(&fills.running).on_screen());
    }
    if !fills.ended.is_empty() {
        page.push('\n');
        page.push_str(&ended(&fills.ended).on_screen());
    }
    page
}

fn running(fills: &[RunningFill]) -> Table<9> {
    let mut table = Table::new([
        ("DIGEST", Side::Left),
        ("REPOSITORY", Side::Left),
        ("DONE", Side::Right),
        ("OF", Side::Right),
        ("RATE", Side::Right),
        ("CONN", Side::Right),
        ("READERS", Side::Right),
        ("BY", Side::Left),
        ("STATE", Side::Left),
    ]);
    for fill in fills {
        table.row([
            short(&fill.of.digest),
            format!("{}/{}", fill.of.upstream, fill.of.repository),
            size(fill.written),
            fill.size.map_or_else(|| "?".to_owned(), size),
            format!("{}/s", size(fill.rate)),
            fill.connections.to_string(),
            fill.followers.to_string(),
            fill.of.origin.as_str().to_owned(),
            match fill.waits {
                Some(waits) => format!("waits: {}", waits.as_str()),
                None => format!("from {}", fill.from.as_str()),
            },
        ]);
    }
    table
}

fn ended(fills: &[EndedFill]) -> Table<8> {
    let mut table = Table::new([
        ("ENDED", Side::Left),
        ("DIGEST", Side::Left),
        ("REPOSITORY", Side::Left),
        ("SIZE", Side::Right),
        ("RESUMED", Side::Right),
        ("TOOK", Side::Right),
        ("END", Side::Left),
        ("CAUSE", Side::Left),
    ]);
    for fill in fills {
        table.row([
            fill.ended.to_string(),
            short(&fill.of.digest),
            format!("{}/{}", fill.of.upstream, fill.of.repository),
            size(fill.size.unwrap_or(fill.written)),
            size(fill.resumed),
            format!("{} ms", fill.took_ms),
            fill.end.as_str().to_owned(),
            fill.cause.clone().unwrap_or_default(),
        ]);
    }
    table
}
