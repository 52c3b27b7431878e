//! `archway inspect REF`: the platforms of an image, and the cached part of each.

use std::fmt::Write as _;

use clap::Args;
use client::{ClientError, Server, UpstreamRepository};
use config::Config;
use image_inventory::{Completeness, Image, Moment};
use manifest_model::{Descriptor, Manifest, Reference};
use protocol::{error_chain::ErrorChain, image_name::ImageName};
use pull::TagState;
use serde::Serialize;
use terminal::table::{self, Table};

use super::{ServerArgs, TableFormat, or_dash};
use crate::cli::output::{CommandOutput, Failure, json};

/// The child manifests fetched to learn the sizes of images. A longer index is shown without sizes.
const MAX_CHILDREN_FETCHED: usize = 64;

/// Show the platforms of an image, and how much of each is cached
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 the image exists; 1 it does not, or no answer came; 2 the configuration is not valid.

Examples:
  archway inspect docker.io/library/busybox
  archway inspect --direct -o json docker.io/library/busybox")]
pub(crate) struct Inspect {
    #[arg(
        help = "Image to ask for: [HOST/]REPOSITORY[:TAG|@DIGEST] [default tag: latest]",
        value_name = "REF"
    )]
    image: ImageName,
    /// Ask the upstream itself instead of a running Archway, without the cached part
    #[arg(long)]
    direct: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: TableFormat,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Serialize)]
struct Inspected {
    name: String,
    digest: String,
    media_type: String,
    /// Where the tag stands at its age, if Archway has it stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    tag_state: Option<TagState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmed: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked_again: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Moment>,
    parts: Vec<InspectedPart>,
}

#[derive(Serialize)]
struct InspectedPart {
    platform: Option<String>,
    digest: String,
    /// Bytes of the whole image; unknown without its manifest.
    size: Option<u64>,
    /// For an attestation, the digest of its subject.
    attests: Option<String>,
    /// Unknown where no Archway was asked.
    state: Option<Completeness>,
    stored: Option<u64>,
}

impl Inspect {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        self.server
            .ask(async |config, server| self.inspect(config, server).await)
    }

    async fn inspect(&self, config: &Config, server: &Server) -> Result<CommandOutput, Failure> {
        let mut note = String::new();
        let inspected = if self.direct {
            let named = server.named(&self.image);
            let upstream = UpstreamRepository::new(config, &named)?;
            self.at_upstream(&named, &upstream).await?
        } else {
            let index = server.whole_manifest(&self.image, &self.image.reference);
            let index = index.await?;
            let cached = match self.cached(server, &index).await {
                Ok(image) => image,
                Err(error) => {
                    note = format!("note: the cached part is unknown: {}\n", ErrorChain(&error));
                    None
                }
            };
            let mut inspected = Self::inspected(&server.named(&self.image), &index);
            if let Ok(Some(tagged)) = server.known(&self.image).await {
                inspected.add_age(&tagged);
            }
            match cached {
                Some(image) => inspected.add_cached(&image),
                None if note.is_empty() => inspected.mark_absent(),
                None => {}
            }
            inspected
        };
        let out = match self.output {
            TableFormat::Json => json(&inspected),
            TableFormat::Text => inspected.text(Table::on_screen),
            TableFormat::Wide => inspected.text(Table::to_string),
        };
        Ok(CommandOutput::success(out).with_notes(note))
    }

    async fn cached(
        &self,
        server: &Server,
        index: &Manifest,
    ) -> Result<Option<Image>, ClientError> {
        let by_digest = ImageName {
            reference: Reference::Digest(index.digest()),
            ..self.image.clone()
        };
        server.known(&by_digest).await
    }

    fn inspected(name: &ImageName, manifest: &Manifest) -> Inspected {
        let entries = if manifest.is_index() {
            manifest.entries().iter().map(InspectedPart::of).collect()
        } else {
            vec![InspectedPart {
                size: Some(size(manifest)),
                ..InspectedPart::named(manifest.digest().to_string())
            }]
        };
        Inspected {
            name: name.to_string(),
            digest: manifest.digest().to_string(),
            media_type: manifest.media_type().to_string(),
            tag_state: None,
            confirmed: None,
            asked_again: None,
            expires: None,
            parts: entries,
        }
    }

    async fn at_upstream(
        &self,
        named: &ImageName,
        upstream: &UpstreamRepository,
    ) -> Result<Inspected, ClientError> {
        let manifest = upstream.manifest(&self.image.reference).await?;
        let mut inspected = Self::inspected(named, &manifest);
        if !manifest.is_index() {
            let platform = upstream.platform(&manifest).await?;
            inspected.parts[0].platform = platform.map(|platform| platform.to_string());
        } else if manifest.entries().len() <= MAX_CHILDREN_FETCHED {
            for (shown, entry) in inspected.parts.iter_mut().zip(manifest.entries()) {
                let child = upstream.manifest(&Reference::Digest(entry.digest)).await?;
                shown.size = Some(size(&child));
            }
        }
        Ok(inspected)
    }
}

fn size(manifest: &Manifest) -> u64 {
    let linked: u64 = manifest.links().map(|link| link.size).sum();
    linked + manifest.bytes().len() as u64
}

impl InspectedPart {
    fn of(entry: &Descriptor) -> Self {
        Self {
            platform: entry.platform.as_ref().map(ToString::to_string),
            attests: entry.attested().map(str::to_owned),
            ..Self::named(entry.digest.to_string())
        }
    }

    fn named(digest: String) -> Self {
        Self {
            platform: None,
            digest,
            size: None,
            attests: None,
            state: None,
            stored: None,
        }
    }
}

impl Inspected {
    fn add_cached(&mut self, image: &Image) {
        for entry in &mut self.parts {
            let part = image
                .parts
                .iter()
                .find(|part| part.digest.to_string() == entry.digest);
            entry.state = Some(part.map_or(Completeness::Absent, |part| part.state));
            entry.stored = Some(part.map_or(0, |part| part.stored));
            if let Some(part) = part {
                entry.size = part.size.or(entry.size);
                let platform = part.platform.as_ref().map(ToString::to_string);
                entry.platform = platform.or(entry.platform.take());
            }
        }
    }

    fn mark_absent(&mut self) {
        for entry in &mut self.parts {
            entry.state = Some(Completeness::Absent);
            entry.stored = Some(0);
        }
    }

    /// The age of the tag, from the row of the tag itself.
    fn add_age(&mut self, tagged: &Image) {
        self.tag_state = tagged.tag_state;
        self.confirmed = tagged.confirmed;
        self.asked_again = tagged.asked_again;
        self.expires = tagged.expires;
    }

    fn text(&self, drawn: fn(&Table<4>) -> String) -> String {
        let mut table = Table::left(["PLATFORM", "DIGEST", "SIZE", "CACHED"]);
        for entry in &self.parts {
            table.row(entry.row());
        }
        let mut age = String::new();
        let times = [
            ("confirmed", self.confirmed),
            ("asked again", self.asked_again),
            ("expires", self.expires),
        ];
        if let Some(state) = self.tag_state {
            let _ = write!(age, "tag: {}", state.as_str());
            for (word, time) in times {
                if let Some(time) = time {
                    let _ = write!(age, "\n     {word} {time}");
                }
            }
            age.push('\n');
        }
        format!(
            "{}\n{}\n{}\n{age}\n{}",
            self.name,
            self.digest,
            self.media_type,
            drawn(&table)
        )
    }
}

impl InspectedPart {
    fn row(&self) -> [String; 4] {
        let platform = match &self.attests {
            Some(about) => format!("attestation of {}", about.get(..19).unwrap_or(about)),
            None => or_dash(self.platform.clone()),
        };
        let cached = match (self.state, self.stored, self.size) {
            (Some(Completeness::Partial), Some(stored), Some(size)) => {
                format!("{} of {}", table::size(stored), table::size(size))
            }
            (state, ..) => or_dash(state.map(|state| state.as_str().to_owned())),
        };
        [
            platform,
            self.digest.clone(),
            or_dash(self.size.map(table::size)),
            cached,
        ]
    }
}
