//! `archway report --need PLATFORM,...`: the images to build before machines of another kind join.

use std::str::FromStr;

use clap::Args;
use client::Server;
use cluster::NodeReport;
use image_inventory::report;
use manifest_model::{ParseError, Platform};
use terminal::{format::PageFormat, table::Table};

use super::ServerArgs;
use crate::cli::output::{CommandOutput, Exit, Failure, json};

/// List the cached images that do not exist for a platform you need
#[derive(Debug, Args)]
#[command(after_help = "\
--need nodes stands for the platforms of the cluster's nodes, which the server knows where
platform.kubernetes.nodes is set.

The report is about images that do not exist for the platform. `archway images --missing` lists those
that exist and are not cached.

Exit codes: 0 done, and with --check no image lacks a platform; 1 with --check one does, or its platforms
are not known; else no answer came; 2 the configuration is not valid.

Examples:
  archway report --need linux/amd64,linux/arm64 --check
  archway report --need nodes
  archway report --need linux/arm64 -o markdown 'docker.io/*'")]
pub(crate) struct Report {
    /// List only images whose HOST/REPOSITORY:TAG matches; `*` matches any characters
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
    /// Platforms needed, comma-separated, for example linux/arm64, or nodes; a compatible one does not count
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', required = true)]
    need: Vec<Need>,
    /// End with exit code 1 where an image lacks a platform, for a pipeline
    #[arg(long)]
    check: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: PageFormat,
    #[command(flatten)]
    server: ServerArgs,
}

/// A word of `--need`.
#[derive(Clone, Debug)]
enum Need {
    /// The platforms of the cluster's nodes.
    Nodes,
    Platform(Platform),
}

impl FromStr for Need {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "nodes" => Ok(Self::Nodes),
            platform => platform.parse().map(Self::Platform),
        }
    }
}

/// Why `--need nodes` says nothing.
#[derive(Debug, thiserror::Error)]
enum NodesError {
    #[error(
        "this Archway does not follow the nodes of a cluster; set nodes = true in [platform.kubernetes]"
    )]
    Off,
    #[error(
        "this Archway knows no node yet whose platform is told; its log says why, and metrics archway_node_watch_up"
    )]
    None,
}

impl Report {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        self.server.ask(async |_, server| self.page(server).await)
    }

    async fn page(&self, server: &Server) -> Result<CommandOutput, Failure> {
        let filter = self.filter.clone().map(|filter| ("filter", filter));
        let need = self.platforms(server).await?;
        let listing = server.all_images(filter.as_slice()).await?;
        let reported = report(&need, &listing.images);
        let out = match self.output {
            PageFormat::Json => json(&reported),
            PageFormat::Text => text(&reported, Table::on_screen),
            PageFormat::Markdown => text(&reported, Table::markdown),
        };
        let is_good = reported.lacking.is_empty() && reported.unknown.is_empty();
        let exit = if is_good || !self.check {
            Exit::Success
        } else {
            Exit::Negative
        };
        Ok(CommandOutput::new(out, exit))
    }

    /// The platforms that `--need` names, each once.
    async fn platforms(&self, server: &Server) -> Result<Vec<Platform>, Failure> {
        let mut platforms = Vec::new();
        for need in &self.need {
            match need {
                Need::Platform(platform) => platforms.push(platform.clone()),
                Need::Nodes => {
                    let report = server.nodes().await?;
                    let found = of_nodes(&report);
                    platforms.extend(found.map_err(|error| Failure::negative(&error))?);
                }
            }
        }
        let mut seen = Vec::new();
        for platform in platforms {
            if !seen.contains(&platform) {
                seen.push(platform);
            }
        }
        Ok(seen)
    }
}

fn of_nodes(report: &NodeReport) -> Result<Vec<Platform>, NodesError> {
    if !report.on {
        return Err(NodesError::Off);
    }
    let named = report.platforms.iter();
    let platforms: Vec<Platform> = named.filter_map(|one| one.platform.parse().ok()).collect();
    if platforms.is_empty() {
        return Err(NodesError::None);
    }
    Ok(platforms)
}

fn text(report: &admin_api::Report, written: fn(&Table<3>) -> String) -> String {
    let mut table = Table::left(["IMAGE", "LACKS", "HAS"]);
    for lacking in &report.lacking {
        table.row([
            lacking.name.clone(),
            lacking.lacks.join(", "),
            lacking.has.join(", "),
        ]);
    }
    let mut page = format!(
        "{} of {} images lack one of {}\n",
        report.lacking.len(),
        report.checked,
        report.need.join(", ")
    );
    if !table.is_empty() {
        page = format!("{page}\n{}", written(&table));
    }
    if !report.unknown.is_empty() {
        page = format!(
            "{page}\nUnknown until a client pulls their configs: {}\n",
            report.unknown.join(", ")
        );
    }
    page
}
