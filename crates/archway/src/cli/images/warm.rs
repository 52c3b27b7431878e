//! `archway warm REF... --platform P,P`: pulls through Archway, so that images are cached before
//! nodes ask for them.

use protocol::image_name::ImageName;
use std::path::PathBuf;

use clap::Args;
use futures_util::{StreamExt, stream};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use manifest_model::{Descriptor, MediaType, Platform, Reference};
use protocol::error_chain::ErrorChain;
use serde::Serialize;

use super::{Format, Place, resolve};
use crate::{
    cli::{
        Answer,
        table::{self, Table},
    },
    client::{ClientError, Server, accepting},
};

/// The number of images warmed at the same time.
const AT_ONCE: usize = 4;

/// Pull images through a running Archway, for the platforms that will be asked for.
#[derive(Debug, Args)]
#[command(after_help = "\
The bytes come here and are thrown away, so run it near Archway. What is cached already costs no upstream anything.

Examples:
  archway warm team/app:v2 --platform linux/amd64,linux/arm64
  archway warm --from-file images.txt --platform linux/arm64")]
pub(crate) struct Warm {
    /// The image, as any client names it: HOST/REPOSITORY:TAG or @DIGEST
    #[arg(value_name = "REF", required_unless_present = "from_file")]
    images: Vec<ImageName>,
    /// More of them, one a line; what follows a `#` is a comment
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    /// os/arch[/variant], several with commas
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', required = true)]
    platform: Vec<Platform>,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    pub(super) place: Place,
}

/// The outcome for one image.
#[derive(Serialize)]
struct Warmed {
    image: String,
    platform: String,
    /// Bytes that are cached now, the manifest not counted.
    bytes: u64,
    error: Option<String>,
}

impl Warm {
    pub(super) async fn run(&self, server: &Server) -> Answer {
        let images = match self.all() {
            Ok(images) => images,
            Err(reason) => return Answer::failed(&reason),
        };
        let pairs = images
            .iter()
            .flat_map(|image| self.platform.iter().map(move |platform| (image, platform)));
        // Drawn only where standard error is a terminal.
        let bars = MultiProgress::new();
        let warmed: Vec<Warmed> = stream::iter(pairs)
            .map(|(image, platform)| warm(server, image, platform, &bars))
            .buffered(AT_ONCE)
            .collect()
            .await;
        let out = match self.output {
            Format::Json => super::json(&warmed),
            Format::Text => text(&warmed),
        };
        let failed = warmed.iter().any(|warmed| warmed.error.is_some());
        Answer {
            code: u8::from(failed),
            ..Answer::good(out)
        }
    }

    /// The images of the command line, then those of the file.
    fn all(&self) -> Result<Vec<ImageName>, String> {
        let mut images = self.images.clone();
        let Some(path) = &self.from_file else {
            return Ok(images);
        };
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {shown}: {error}"))?;
        for (number, line) in (1..).zip(text.lines()) {
            let name = line.split('#').next().unwrap_or_default().trim();
            if !name.is_empty() {
                let image = name.parse();
                images.push(image.map_err(|error| format!("{shown}:{number}: {error}"))?);
            }
        }
        Ok(images)
    }
}

async fn warm(
    server: &Server,
    image: &ImageName,
    platform: &Platform,
    bars: &MultiProgress,
) -> Warmed {
    let bar = bars.add(ProgressBar::new(0).with_style(style()));
    bar.set_message(format!("{image} {platform}"));
    let outcome = bring(server, image, platform, &bar).await;
    bar.finish();
    Warmed {
        image: image.to_string(),
        platform: platform.to_string(),
        bytes: bar.position(),
        error: outcome.err().map(|error| ErrorChain(&error).to_string()),
    }
}

/// Pulls the index, the image's manifest and all blobs it links.
async fn bring(
    server: &Server,
    image: &ImageName,
    platform: &Platform,
    bar: &ProgressBar,
) -> Result<(), ClientError> {
    let everything = accepting(MediaType::MANIFESTS);
    server
        .look(image, &image.reference, everything.clone())
        .await?
        .successful()?;
    let digest = resolve::through(server, image, platform).await?;
    let manifest = server
        .manifest(image, &Reference::Digest(digest), everything)
        .await?
        .manifest()?;
    let links: Vec<&Descriptor> = manifest.links().collect();
    bar.set_length(links.iter().map(|link| link.size).sum());
    for link in links {
        server
            .read_blob(image, &link.digest, |piece| bar.inc(piece.len() as u64))
            .await?;
    }
    Ok(())
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg:40!} {bar:30} {binary_bytes:>11} of {binary_total_bytes}")
        .expect("a well-formed template")
}

fn text(warmed: &[Warmed]) -> String {
    let mut table = Table::left(["IMAGE", "PLATFORM", "BYTES", ""]);
    for warmed in warmed {
        let outcome = match &warmed.error {
            Some(error) => format!("failed: {error}"),
            None => "cached".to_owned(),
        };
        table.row([
            warmed.image.clone(),
            warmed.platform.clone(),
            table::size(warmed.bytes),
            outcome,
        ]);
    }
    table.to_string()
}
