//! `archway inspect REF`

use clap::Args;
use config::Config;
use manifest_model::{Descriptor, Manifest, MediaType, Reference};
use protocol::image_name::ImageName;
use protocol::{error_chain::ErrorChain, headers::ARCHWAY_INDEX};
use proxy::inventory::{Completeness, Image};
use serde::Serialize;

use super::{Format, Outcome, Place, or_dash};
use crate::{
    cli::{
        Answer,
        table::{self, Table},
    },
    client::{ClientError, Direct, Server, accepting},
};

/// The most entries whose manifests are fetched for their sizes; a larger index is shown without
/// sizes.
const MOST_FETCHED: usize = 64;

/// Show the platforms behind a name, and how much of each is cached.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  archway inspect docker.io/library/busybox
  archway inspect --direct -o json docker.io/library/busybox")]
pub(crate) struct Inspect {
    /// The image, as any client names it: HOST/REPOSITORY:TAG or @DIGEST
    #[arg(value_name = "REF")]
    image: ImageName,
    /// Ask the upstream itself; what is cached is not looked at
    #[arg(long)]
    direct: bool,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    pub(super) place: Place,
}

#[derive(Serialize)]
struct Inspected {
    name: String,
    digest: String,
    media_type: String,
    entries: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    platform: Option<String>,
    digest: String,
    /// The size of the whole image; `None` if its manifest is not at hand.
    size: Option<u64>,
    /// For an attestation, the digest that it is about.
    attests: Option<String>,
    /// `None` if no Archway was asked.
    cached: Option<Completeness>,
    stored: Option<u64>,
}

impl Inspect {
    pub(super) async fn run(&self, config: &Config, server: &Server) -> Outcome {
        let mut note = String::new();
        let inspected = if self.direct {
            let direct = Direct::new(config, &server.named(&self.image))?;
            self.direct(&direct).await?
        } else {
            let index = self.index(server).await?;
            let cached = match self.cached(server, &index).await {
                Ok(image) => image,
                Err(error) => {
                    note = format!("what is cached is not known: {}\n", ErrorChain(&error));
                    None
                }
            };
            let mut inspected = self.inspected(&index);
            match cached {
                Some(image) => inspected.fill_in(&image),
                None if note.is_empty() => inspected.fill_in_nothing(),
                None => {}
            }
            inspected
        };
        let out = match self.output {
            Format::Json => super::json(&inspected),
            Format::Text => inspected.text(),
        };
        Ok(Answer {
            err: note,
            ..Answer::good(out)
        })
    }

    /// The index itself, whatever hints the way to Archway carries.
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
            manifest.entries().iter().map(Entry::of).collect()
        } else {
            vec![Entry {
                size: Some(size(manifest)),
                ..Entry::named(manifest.digest().to_string())
            }]
        };
        Inspected {
            name: self.image.to_string(),
            digest: manifest.digest().to_string(),
            media_type: manifest.media_type().to_string(),
            entries,
        }
    }

    async fn direct(&self, direct: &Direct) -> Result<Inspected, ClientError> {
        let manifest = direct.manifest(&self.image.reference).await?;
        let mut inspected = self.inspected(&manifest);
        if !manifest.is_index() {
            let platform = direct.platform(&manifest).await?;
            inspected.entries[0].platform = platform.map(|platform| platform.to_string());
        } else if manifest.entries().len() <= MOST_FETCHED {
            for (shown, entry) in inspected.entries.iter_mut().zip(manifest.entries()) {
                let child = direct.manifest(&Reference::Digest(entry.digest)).await?;
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

impl Entry {
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
    fn fill_in(&mut self, image: &Image) {
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

    fn fill_in_nothing(&mut self) {
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

impl Entry {
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
