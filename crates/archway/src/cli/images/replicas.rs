//! `archway replicas`: who shares downloads with a running Archway.

use std::fmt::Write as _;

use clap::Args;
use client::Server;
use terminal::table::{Side, Table};

use super::{Format, ServerArgs, or_dash};
use crate::cli::output::{CommandOutput, Failure, json};

/// List the replicas that share downloads, as one of them sees them
#[derive(Debug, Args)]
#[command(after_help = "\
STATE says what each one does: ready owns a part of all digests, new does not own any yet, leaving is about
to end, skipped did not answer a moment ago, unheard never or long not, other_protocol is of a version
that this one does not understand. The downloads are those of the replica that is asked.

Exit codes: 0 listed; 1 no answer came, or the Archway is alone; 2 the configuration is not valid.

Examples:
  archway replicas
  archway replicas --admin http://10.0.0.2:9464 -o json")]
pub(crate) struct ListReplicas {
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

impl ListReplicas {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        self.server.ask(async |_, server| self.list(server).await)
    }

    async fn list(&self, server: &Server) -> Result<CommandOutput, Failure> {
        let report = server.replicas().await?;
        if let Format::Json = self.output {
            return Ok(CommandOutput::success(json(&report)));
        }
        let mut table = Table::new([
            ("REPLICA", Side::Left),
            ("STATE", Side::Left),
            ("AGE", Side::Right),
            ("ZONE", Side::Left),
            ("OWNS", Side::Right),
        ]);
        for member in report.members {
            let me = if Some(&member.address) == report.me.as_ref() {
                " (this one)"
            } else {
                ""
            };
            table.row([
                format!("{}{me}", member.address),
                member.state,
                or_dash(member.age_seconds.map(|age| format!("{age} s"))),
                or_dash(member.zone),
                format!("{:.1} %", member.owns_percent),
            ]);
        }
        let mut page = table.on_screen();
        let _ = writeln!(page, "\n{} downloads run here", report.fills.len());
        for digest in report.fills {
            let _ = writeln!(page, "{digest}");
        }
        Ok(CommandOutput::success(page))
    }
}
