//! `archway upstreams`: how the registries are that a running Archway asks.

use std::fmt::Write as _;

use admin_api::{UpstreamEndpoint, Upstreams};
use clap::Args;
use client::Server;
use terminal::table::Table;

use super::{Format, ServerArgs, or_dash};
use crate::cli::output::{CommandOutput, Failure, json};

/// List the upstreams that were asked since the start, and how each is
#[derive(Debug, Args)]
#[command(after_help = "\
STATE is up, throttling (calls of some kind wait after a 429) or down (left alone until it is probed again).
BUDGET is what the configured rates would let go at once; TOKEN is when the token that was got last runs out.

Exit codes: 0 listed; 1 no answer came; 2 the configuration is not valid.

Examples:
  archway upstreams
  archway upstreams -o json --admin http://127.0.0.1:9464")]
pub(crate) struct ListUpstreams {
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

impl ListUpstreams {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        self.server.ask(async |_, server| self.list(server).await)
    }

    async fn list(&self, server: &Server) -> Result<CommandOutput, Failure> {
        let upstreams = server.upstreams().await?;
        if let Format::Json = self.output {
            return Ok(CommandOutput::success(json(&upstreams)));
        }
        let mut page = table(&upstreams).on_screen();
        for pattern in &upstreams.offline {
            let _ = writeln!(page, "{pattern} is offline by configuration");
        }
        Ok(CommandOutput::success(page))
    }
}

/// A row for each endpoint. What counts for the whole upstream is in the row of its first one.
fn table(upstreams: &Upstreams) -> Table<7> {
    let mut table = Table::left([
        "UPSTREAM",
        "STATE",
        "WAITING",
        "PULLS LEFT",
        "BUDGET",
        "TOKEN",
        "SINCE, CAUSE",
    ]);
    for upstream in &upstreams.upstreams {
        for (at, endpoint) in upstream.endpoints.iter().enumerate() {
            let budget = upstream.budget.iter();
            let budget: Vec<_> = budget
                .map(|budget| format!("{} {}", budget.calls, budget.left))
                .collect();
            let budget = budget.join(", ");
            let of_first = |text: Option<String>| if at == 0 { or_dash(text) } else { "-".into() };
            table.row([
                name(&upstream.host, endpoint),
                endpoint.state.as_str().to_owned(),
                of_first(Some(upstream.waiting.to_string())),
                of_first(upstream.pulls_left.map(|left| left.to_string())),
                of_first((!budget.is_empty()).then_some(budget)),
                of_first(upstream.token_expires.map(|time| time.to_string())),
                trouble(endpoint),
            ]);
        }
    }
    table
}

/// The name of the upstream, with its endpoint where that is another host.
pub(super) fn name(host: &str, endpoint: &UpstreamEndpoint) -> String {
    if endpoint.url.contains(host) {
        return host.to_owned();
    }
    format!("{host} at {}", endpoint.url)
}

/// Since when it is down and why, or what it holds back.
pub(super) fn trouble(endpoint: &UpstreamEndpoint) -> String {
    if let (Some(since), Some(cause)) = (endpoint.since, &endpoint.cause) {
        return format!("{since}, {cause}");
    }
    let held = endpoint.held.iter();
    let held: Vec<_> = held
        .map(|held| format!("{} held until {}", held.calls, held.until))
        .collect();
    or_dash((!held.is_empty()).then(|| held.join(", ")))
}
