//! `archway images [FILTER]`

use clap::Args;
use manifest_model::Platform;
use proxy::inventory::{Completeness, Image, ImagePart, Listing};

use super::{Format, Outcome, Place, or_dash};
use crate::{
    cli::{
        Answer,
        table::{self, Table},
    },
    client::Server,
};

/// List what is cached, per platform.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  archway images
  archway images --platform linux/arm64 --missing 'docker.io/*'")]
pub(crate) struct Images {
    /// Only these: HOST/REPOSITORY:TAG, where `*` stands for any run of characters
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
    /// Only what is for this platform
    #[arg(long)]
    platform: Option<Platform>,
    /// Only images that are not whole for that platform
    #[arg(long, requires = "platform")]
    missing: bool,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    pub(super) place: Place,
}

impl Images {
    pub(super) async fn run(&self, server: &Server) -> Outcome {
        let mut query = Vec::new();
        query.extend(self.filter.clone().map(|filter| ("filter", filter)));
        if self.missing {
            let platform = self.platform.as_ref().map(ToString::to_string);
            query.extend(platform.map(|platform| ("missing", platform)));
        }
        let listing = server.all_images(&query).await?;
        let out = match self.output {
            Format::Json => super::json(&listing),
            Format::Text => self.text(&listing),
        };
        Ok(Answer::good(out))
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
        table.to_string()
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
        Some(part) => part.state.as_str(),
        // The upstream may have it by another name; the index does not list it.
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
        short(&image.digest.to_string()),
    ]
}

fn clients(image: &Image) -> String {
    let more = if image.clients_or_more { "+" } else { "" };
    format!("{}{more}", image.clients)
}

/// A digest cut for people; JSON has all of it.
fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
}
