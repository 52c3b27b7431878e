//! `archway images [FILTER]`: the cached images, a line for each platform.

use std::fmt::Write as _;

use clap::Args;
use client::Server;
use image_inventory::{Completeness, Image, ImagePart, Listing, Moment};
use manifest_model::Platform;
use terminal::table::{self, Table};

use super::{ServerArgs, TableFormat, or_dash};
use crate::cli::output::{CommandOutput, Failure, json};

/// List the cached images by platform
#[derive(Debug, Args)]
#[command(after_help = "\
CACHED says how much is stored: cached, partial or absent. TAG says what the tag's age allows: fresh
needs no upstream; of stale the upstream is asked, and without an answer it goes out as it is; of expired
too, and without an answer clients get an error; immutable and held are never asked for. -o wide has all
columns and cuts nothing.

Exit codes: 0 listed; 1 no answer came; 2 the configuration is not valid.

Examples:
  archway images
  archway images team/app -o wide
  archway images --platform linux/arm64 --missing 'docker.io/*'")]
pub(crate) struct Images {
    /// List only images whose HOST/REPOSITORY:TAG has this in it, or matches it with `*` for any
    /// characters
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
    #[arg(
        help = "List only this platform, os/arch[/variant], for example linux/arm64",
        long
    )]
    platform: Option<Platform>,
    /// List only images that are not completely cached, for that platform or for one that they offer
    #[arg(long)]
    missing: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: TableFormat,
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
        let mut listing = server.all_images(&query).await?;
        if self.missing && self.platform.is_none() {
            let is_whole = |part: &ImagePart| part.state == Completeness::Cached;
            let images = &mut listing.images;
            images.retain(|image| !image.parts.iter().all(is_whole));
        }
        let note = match &self.filter {
            Some(filter) if listing.images.is_empty() => {
                let all = server.all_images(&[]).await?.images.len() as u64;
                format!("no cached image matches {filter}; there are {all} in all\n")
            }
            None if listing.images.is_empty() && !self.missing => {
                "nothing is cached yet\n".to_owned()
            }
            _ => String::new(),
        };
        let out = match self.output {
            TableFormat::Json => json(&listing),
            TableFormat::Text => page(&listing, &self.rows(&listing, NARROW, narrow).on_screen()),
            TableFormat::Wide => page(&listing, &self.rows(&listing, WIDE, wide).to_string()),
        };
        Ok(CommandOutput::success(out).with_notes(note))
    }

    fn rows<const N: usize>(
        &self,
        listing: &Listing,
        titles: [&'static str; N],
        row: impl Fn(&Row<'_>) -> [String; N],
    ) -> Table<N> {
        let mut table = Table::left(titles);
        for image in &listing.images {
            let mut add = |platform: String, part| {
                table.row(row(&Row {
                    image,
                    platform,
                    part,
                }));
            };
            match &self.platform {
                Some(platform) => add(platform.to_string(), image.part(platform)),
                None => image
                    .parts
                    .iter()
                    .for_each(|part| add(name(part), Some(part))),
            }
        }
        table
    }
}

fn page(listing: &Listing, table: &str) -> String {
    let mut text = table.to_owned();
    if !listing.offline.is_empty() {
        let offline = listing.offline.join(", ");
        let _ = writeln!(text, "\noffline, so this is all there is: {offline}");
    }
    for (host, cause) in &listing.down {
        let _ = writeln!(text, "\n{host} is down: {cause}");
    }
    text
}

/// One platform of one image.
struct Row<'a> {
    image: &'a Image,
    platform: String,
    /// None where the image does not offer the platform.
    part: Option<&'a ImagePart>,
}

const NARROW: [&str; 7] = [
    "IMAGE", "PLATFORM", "CACHED", "TAG", "SIZE", "USED", "CLIENTS",
];

const WIDE: [&str; 13] = [
    "IMAGE",
    "PLATFORM",
    "CACHED",
    "TAG",
    "STORED",
    "SIZE",
    "PUSHED",
    "USED",
    "CLIENTS",
    "CONFIRMED",
    "ASKED AGAIN",
    "EXPIRES",
    "DIGEST",
];

fn name(part: &ImagePart) -> String {
    match (&part.attests, &part.platform) {
        (Some(_), _) => "attestation".to_owned(),
        (None, platform) => or_dash(platform.as_ref().map(ToString::to_string)),
    }
}

fn narrow(row: &Row<'_>) -> [String; NARROW.len()] {
    let Row {
        image, platform, ..
    } = row;
    [
        image.name(),
        platform.clone(),
        row.cached().to_owned(),
        row.tag(),
        row.size(),
        or_dash(image.used.map(|used| table::ago(used.time()))),
        clients(image),
    ]
}

fn wide(row: &Row<'_>) -> [String; WIDE.len()] {
    let Row {
        image, platform, ..
    } = row;
    let time = |time: Option<Moment>| or_dash(time.map(|time| time.to_string()));
    [
        image.name(),
        platform.clone(),
        row.cached().to_owned(),
        row.tag(),
        or_dash(row.stored().map(|part| table::size(part.stored))),
        row.size(),
        time(image.pushed),
        time(image.used),
        clients(image),
        time(image.confirmed),
        time(image.asked_again),
        time(image.expires),
        table::short(&image.digest),
    ]
}

impl Row<'_> {
    fn cached(&self) -> &'static str {
        match self.part {
            Some(part) if part.left_out_by.is_some() => "left out",
            Some(part) => part.state.as_str(),
            // The index does not list the platform; the upstream may have it under another name.
            None => "not offered",
        }
    }

    fn stored(&self) -> Option<&ImagePart> {
        self.part.filter(|part| part.state != Completeness::Absent)
    }

    fn size(&self) -> String {
        or_dash(self.stored().and_then(|part| part.size).map(table::size))
    }

    fn tag(&self) -> String {
        or_dash(self.image.tag_state.map(|state| state.as_str().to_owned()))
    }
}

fn clients(image: &Image) -> String {
    let more = if image.clients_or_more { "+" } else { "" };
    format!("{}{more}", image.clients)
}
