//! `archway inspect REF`: the platforms of an image, and the cached part of each.

use clap::Args;
use config::Config;
use manifest_model::{Descriptor, Manifest, MediaType, Reference};
use protocol::{error_chain::ErrorChain, headers::ARCHWAY_INDEX, image_name::ImageName};
use proxy::inventory::{Completeness, Image};
use serde::Serialize;

use super::{Format, ServerArgs, or_dash};
use crate::{
    cli::{
        output::{CommandOutput, Failure, json},
        table::{self, Table},
    },
    client::{ClientError, Server, UpstreamRepository, accepting},
};

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
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Serialize)]
struct Inspected {
    name: String,
    digest: String,
    media_type: String,
    entries: Vec<InspectedEntry>,
}

#[derive(Serialize)]
struct InspectedEntry {
    platform: Option<String>,
    digest: String,
    /// Bytes of the whole image; unknown without its manifest.
    size: Option<u64>,
    /// For an attestation, the digest of its subject.
    attests: Option<String>,
    /// Unknown where no Archway was asked.
    cached: Option<Completeness>,
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
            let upstream = UpstreamRepository::new(config, &server.named(&self.image))?;
            self.at_upstream(&upstream).await?
        } else {
            let index = self.index(server).await?;
            let cached = match self.cached(server, &index).await {
                Ok(image) => image,
                Err(error) => {
                    note = format!("note: the cached part is unknown: {}\n", ErrorChain(&error));
                    None
                }
            };
            let mut inspected = self.inspected(&index);
            match cached {
                Some(image) => inspected.add_cached(&image),
                None if note.is_empty() => inspected.mark_absent(),
                None => {}
            }
            inspected
        };
        let out = match self.output {
            Format::Json => json(&inspected),
            Format::Text => inspected.text(),
        };
        Ok(CommandOutput::success(out).with_notes(note))
    }

    /// The index itself, even where a listener or a URL with a platform substitutes an image.
    async fn index(&self, server: &Server) -> Result<Manifest, ClientError> {
        let ask = async |reference: &Reference| {
            let headers = accepting(MediaType::MANIFESTS);
            server.manifest(&self.image, reference, headers).await
        };
        let answer = ask(&self.image.reference).await?;
        match answer
            .header(&ARCHWAY_INDEX)
            .and_then(|digest| digest.parse().ok())
        {
            Some(index) => ask(&Reference::Digest(index)).await?.manifest(),
            None => answer.manifest(),
        }
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

    fn inspected(&self, manifest: &Manifest) -> Inspected {
        let entries = if manifest.is_index() {
            manifest.entries().iter().map(InspectedEntry::of).collect()
        } else {
            vec![InspectedEntry {
                size: Some(size(manifest)),
                ..InspectedEntry::named(manifest.digest().to_string())
            }]
        };
        Inspected {
            name: self.image.to_string(),
            digest: manifest.digest().to_string(),
            media_type: manifest.media_type().to_string(),
            entries,
        }
    }

    async fn at_upstream(&self, upstream: &UpstreamRepository) -> Result<Inspected, ClientError> {
        let manifest = upstream.manifest(&self.image.reference).await?;
        let mut inspected = self.inspected(&manifest);
        if !manifest.is_index() {
            let platform = upstream.platform(&manifest).await?;
            inspected.entries[0].platform = platform.map(|platform| platform.to_string());
        } else if manifest.entries().len() <= MAX_CHILDREN_FETCHED {
            for (shown, entry) in inspected.entries.iter_mut().zip(manifest.entries()) {
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

impl InspectedEntry {
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
            cached: None,
            stored: None,
        }
    }
}

impl Inspected {
    fn add_cached(&mut self, image: &Image) {
        for entry in &mut self.entries {
            let part = image
                .parts
                .iter()
                .find(|part| part.digest.to_string() == entry.digest);
            entry.cached = Some(part.map_or(Completeness::Absent, |part| part.state));
            entry.stored = Some(part.map_or(0, |part| part.stored));
            if let Some(part) = part {
                entry.size = part.size.or(entry.size);
                let platform = part.platform.as_ref().map(ToString::to_string);
                entry.platform = platform.or(entry.platform.take());
            }
        }
    }

    fn mark_absent(&mut self) {
        for entry in &mut self.entries {
            entry.cached = Some(Completeness::Absent);
            entry.stored = Some(0);
        }
    }

    fn text(&self) -> String {
        let mut table = Table::left(["PLATFORM", "DIGEST", "SIZE", "CACHED"]);
        for entry in &self.entries {
            table.row(entry.row());
        }
        format!(
            "{}\n{}  {}\n\n{table}",
            self.name, self.digest, self.media_type
        )
    }
}

impl InspectedEntry {
    fn row(&self) -> [String; 4] {
        let platform = match &self.attests {
            Some(about) => format!("attestation of {}", about.get(..19).unwrap_or(about)),
            None => or_dash(self.platform.clone()),
        };
        let cached = match (self.cached, self.stored, self.size) {
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
