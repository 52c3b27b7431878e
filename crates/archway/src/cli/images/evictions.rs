//! `archway evictions`: what leaves the cache of a running Archway next, and why.

use admin_api::{CacheTotals, Evictions};
use clap::Args;
use client::Server;
use terminal::table::{Side, Table, size};

use super::{Format, ServerArgs};
use crate::cli::output::{CommandOutput, Failure, counted, json};

/// List what leaves the cache next, and why
#[derive(Debug, Args)]
#[command(after_help = "\
The order is the one in which blobs would leave now. A blob that is being read is passed over when its turn
comes; what a bundle pins never leaves.

Exit codes: 0 listed; 1 no answer came; 2 the configuration is not valid.

Examples:
  archway evictions
  archway evictions --limit 20 -o json")]
pub(crate) struct ListEvictions {
    /// How many blobs to list, at most 1000
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    limit: usize,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

impl ListEvictions {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        self.server.ask(async |_, server| self.list(server).await)
    }

    async fn list(&self, server: &Server) -> Result<CommandOutput, Failure> {
        let evictions = server.evictions(self.limit).await?;
        Ok(CommandOutput::success(match self.output {
            Format::Text => text(&evictions),
            Format::Json => json(&evictions),
        }))
    }
}

fn text(evictions: &Evictions) -> String {
    let mut table = Table::new([
        ("DIGEST", Side::Left),
        ("SIZE", Side::Right),
        ("USED", Side::Left),
        ("CLASS", Side::Left),
        ("WHY", Side::Left),
    ]);
    for blob in &evictions.next {
        table.row([
            blob.digest.to_string(),
            size(blob.size),
            blob.used.to_string(),
            blob.class.as_str().to_owned(),
            blob.why.clone(),
        ]);
    }
    format!("{}\n{}", totals(&evictions.cache), table.on_screen())
}

/// How full the cache is, in two lines.
pub(super) fn totals(cache: &CacheTotals) -> String {
    let CacheTotals {
        bytes, max_bytes, ..
    } = *cache;
    let free = cache.disk_free.map_or_else(|| "?".to_owned(), size);
    format!(
        "cache {} of {} ({} %), {}, disk free {free}\npinned {}, unwanted {}\n",
        size(bytes),
        size(max_bytes),
        bytes.saturating_mul(100) / max_bytes.max(1),
        counted(cache.blobs, "blob"),
        size(cache.pinned_bytes),
        size(cache.unwanted_bytes),
    )
}
