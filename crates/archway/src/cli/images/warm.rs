//! `archway warm REF... --platform PLATFORM,...`: pulls through Archway before the nodes do.

use std::{io, path::PathBuf};

use clap::Args;
use futures_util::{StreamExt, stream};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use manifest_model::{Descriptor, MediaType, Platform, Reference};
use protocol::{
    error_chain::ErrorChain,
    image_name::{ImageName, NameError},
};
use serde::Serialize;

use super::{Format, ServerArgs, resolve};
use crate::{
    cli::{
        output::{CommandOutput, Exit, Failure, json},
        table::{self, Table},
    },
    client::{ClientError, Server, accepting},
};

/// The images pulled at the same time.
const MAX_CONCURRENT_PULLS: usize = 4;

/// Pull images through a running Archway ahead of the nodes that need them
#[derive(Debug, Args)]
#[command(after_help = "\
The command downloads every byte and discards it, so run it near Archway. Cached content is not
fetched from the upstream again.

Exit codes: 0 all images are cached; 1 one or more are not; 2 the configuration is not valid.

Examples:
  archway warm team/app:v2 --platform linux/amd64,linux/arm64
  archway warm --from-file images.txt --platform linux/arm64")]
pub(crate) struct Warm {
    #[arg(
        help = "Images to pull: [HOST/]REPOSITORY[:TAG|@DIGEST] [default tag: latest]",
        value_name = "REF",
        required_unless_present = "from_file"
    )]
    images: Vec<ImageName>,
    /// File with more images, one a line; `#` starts a comment
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    #[arg(
        help = "Platforms, comma-separated os/arch[/variant], for example linux/amd64,linux/arm64",
        long,
        value_name = "PLATFORM",
        value_delimiter = ',',
        required = true
    )]
    platform: Vec<Platform>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

/// The outcome for one image and platform.
#[derive(Serialize)]
struct Warmed {
    image: String,
    platform: String,
    /// Bytes read, without those of manifests.
    bytes: u64,
    error: Option<String>,
}

impl Warm {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        self.server.ask(async |_, server| self.warm(server).await)
    }

    async fn warm(&self, server: &Server) -> Result<CommandOutput, Failure> {
        let images = self.all().map_err(|error| Failure::negative(&error))?;
        let pairs = images
            .iter()
            .flat_map(|image| self.platform.iter().map(move |platform| (image, platform)));
        // indicatif draws only where standard error is a terminal.
        let bars = MultiProgress::new();
        let warmed: Vec<Warmed> = stream::iter(pairs)
            .map(|(image, platform)| warm(server, image, platform, &bars))
            .buffered(MAX_CONCURRENT_PULLS)
            .collect()
            .await;
        let out = match self.output {
            Format::Json => json(&warmed),
            Format::Text => text(&warmed),
        };
        let exit = if warmed.iter().any(|warmed| warmed.error.is_some()) {
            Exit::Negative
        } else {
            Exit::Success
        };
        Ok(CommandOutput::new(out, exit))
    }

    /// The images of the command line, then those of the file.
    fn all(&self) -> Result<Vec<ImageName>, ImageListError> {
        let mut images = self.images.clone();
        let Some(path) = &self.from_file else {
            return Ok(images);
        };
        let text = std::fs::read_to_string(path).map_err(|source| ImageListError::Unreadable {
            path: path.clone(),
            source,
        })?;
        for (number, line) in (1..).zip(text.lines()) {
            let name = line.split('#').next().unwrap_or_default().trim();
            if !name.is_empty() {
                let image = name.parse().map_err(|source| ImageListError::Name {
                    path: path.clone(),
                    line: number,
                    source,
                })?;
                images.push(image);
            }
        }
        Ok(images)
    }
}

/// Why the file of `--from-file` cannot be used.
#[derive(Debug, thiserror::Error)]
enum ImageListError {
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}:{line}", path.display())]
    Name {
        path: PathBuf,
        line: usize,
        source: NameError,
    },
}

async fn warm(
    server: &Server,
    image: &ImageName,
    platform: &Platform,
    bars: &MultiProgress,
) -> Warmed {
    let bar = bars.add(ProgressBar::new(0).with_style(style()));
    bar.set_message(format!("{image} {platform}"));
    let outcome = pull(server, image, platform, &bar).await;
    bar.finish();
    Warmed {
        image: image.to_string(),
        platform: platform.to_string(),
        bytes: bar.position(),
        error: outcome.err().map(|error| ErrorChain(&error).to_string()),
    }
}

/// Pulls the index, the manifest of the image, its config and its layers.
async fn pull(
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
        .expect("the template is valid")
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
