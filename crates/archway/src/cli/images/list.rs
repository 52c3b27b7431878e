//! `archway images [FILTER]`: the cached images, a line for each platform.

use std::fmt::Write as _;

use clap::Args;
use manifest_model::Platform;
use proxy::inventory::{Completeness, Image, ImagePart, Listing};

use super::{Format, ServerArgs, or_dash};
use crate::{
    cli::{
        output::{CommandOutput, Failure, json},
        table::{self, Table},
    },
    client::Server,
};

/// List the cached images by platform
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 listed; 1 no answer came; 2 the configuration is not valid.

Examples:
  archway images
  archway images --platform linux/arm64 --missing 'docker.io/*'")]
pub(crate) struct Images {
    /// List only images whose HOST/REPOSITORY:TAG matches; `*` matches any characters
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
    #[arg(
        help = "List only this platform, os/arch[/variant], for example linux/arm64",
        long
    )]
    platform: Option<Platform>,
    /// List only images that are not completely cached for that platform
    #[arg(long, requires = "platform")]
    missing: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

impl Images {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        self.server.ask(async |_, server| self.list(server).await)
    }

    async fn list(&self, server: &Server) -> Result<CommandOutput, Failure> {
        let mut query = Vec::new();
        query.extend(self.filter.clone().map(|filter| ("filter", filter)));
        if self.missing {
            let platform = self.platform.as_ref().map(ToString::to_string);
            query.extend(platform.map(|platform| ("missing", platform)));
        }
        let listing = server.all_images(&query).await?;
        let out = match self.output {
            Format::Json => json(&listing),
            Format::Text => self.text(&listing),
        };
        Ok(CommandOutput::success(out))
    }

    fn text(&self, listing: &Listing) -> String {
        let mut table = Table::left(TITLES);
        for image in &listing.images {
            match &self.platform {
                Some(platform) => {
                    table.row(row(image, &platform.to_string(), image.part(platform)));
                }
                None => {
                    for part in &image.parts {
                        table.row(row(image, &name(part), Some(part)));
                    }
                }
            }
        }
        let mut text = table.to_string();
        if !listing.offline.is_empty() {
            let offline = listing.offline.join(", ");
            let _ = writeln!(text, "\noffline, so this is all there is: {offline}");
        }
        text
    }
}

const TITLES: [&str; 9] = [
    "IMAGE", "PLATFORM", "CACHED", "STORED", "SIZE", "PUSHED", "USED", "CLIENTS", "DIGEST",
];

fn name(part: &ImagePart) -> String {
    match (&part.attests, &part.platform) {
        (Some(_), _) => "attestation".to_owned(),
        (None, platform) => or_dash(platform.as_ref().map(ToString::to_string)),
    }
}

fn row(image: &Image, platform: &str, part: Option<&ImagePart>) -> [String; TITLES.len()] {
    let state = match part {
        Some(part) if part.left_out_by.is_some() => "left out",
        Some(part) => part.state.as_str(),
        // The index does not list the platform; the upstream may have it under another name.
        None => "not offered",
    };
    let part = part.filter(|part| part.state != Completeness::Absent);
    [
        image.name(),
        platform.to_owned(),
        state.to_owned(),
        or_dash(part.map(|part| table::size(part.stored))),
        or_dash(part.and_then(|part| part.size).map(table::size)),
        or_dash(image.pushed.map(table::time)),
        or_dash(image.used.map(table::time)),
        clients(image),
        table::short(&image.digest),
    ]
}

fn clients(image: &Image) -> String {
    let more = if image.clients_or_more { "+" } else { "" };
    format!("{}{more}", image.clients)
}
