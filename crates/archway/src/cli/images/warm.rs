//! `archway warm REF... --platform PLATFORM,...`: pulls through Archway before the nodes do.

use clap::Args;
use client::{ClientError, Server, accepting};
use futures_util::{StreamExt, stream};
use http::StatusCode;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use manifest_model::{Descriptor, MediaType, Platform, Reference};
use protocol::{error_chain::ErrorChain, image_name::ImageName};
use serde::Serialize;
use terminal::table::{self, Table};

use super::{Format, ServerArgs, ready, resolve};
use crate::cli::{
    image_list::{ImageList, Platforms},
    output::{CommandOutput, Exit, Failure, json},
};

/// The images pulled at the same time.
const MAX_CONCURRENT_PULLS: usize = 4;

/// The columns of a bar's label: with the rest, a row fits 80.
const LABEL_WIDTH: usize = 28;

/// Pull images through a running Archway ahead of the nodes that need them
#[derive(Debug, Args)]
#[command(after_help = "\
The command downloads every byte and discards it, so run it near Archway. Cached content is not
fetched from the upstream again. Then it asks the admin listener what is stored, as `archway ready`
does: an image for a compatible platform does not count. Where that listener cannot be asked, images
are `pulled`, and may have been passed on without being stored.

Exit codes: 0 all images are cached, or pulled; 1 one or more are not; 2 the configuration or the list
is not valid.

Examples:
  archway warm team/app:v2 --platform linux/amd64,linux/arm64
  archway warm --from-file images.txt --platform linux/arm64
  ssh gateway archway wanted | archway warm --from-file -")]
pub(crate) struct Warm {
    #[command(flatten)]
    images: ImageList,
    #[arg(
        help = "Platforms, comma-separated os/arch[/variant], of images that are not listed for one",
        long,
        value_name = "PLATFORM",
        value_delimiter = ','
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
    name: String,
    platform: String,
    /// Bytes read, without those of manifests.
    bytes: u64,
    state: State,
    error: Option<String>,
}

/// What has become of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// All of it is stored.
    Cached,
    /// All of it came; whether it is stored could not be asked.
    Pulled,
    /// It is not stored: `error` says why.
    Failed,
}

impl Warm {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        self.server.ask(async |_, server| self.warm(server).await)
    }

    async fn warm(&self, server: &Server) -> Result<CommandOutput, Failure> {
        let named = Platforms::These(self.platform.clone());
        let default = (!self.platform.is_empty()).then_some(&named);
        let images = self
            .images
            .for_platforms(default)
            .map_err(|error| Failure::unusable(&error))?;
        let pairs = images.iter().flat_map(|(image, platforms)| {
            let platforms = platforms.as_slice().iter();
            platforms.map(move |platform| (image, platform))
        });
        // indicatif draws only where standard error is a terminal.
        let bars = MultiProgress::new();
        let warmed: Vec<Warmed> = stream::iter(pairs)
            .map(|(image, platform)| warm(server, image, platform, &bars))
            .buffered(MAX_CONCURRENT_PULLS)
            .collect()
            .await;
        let out = match self.output {
            Format::Json => json(&serde_json::json!({ "images": warmed })),
            Format::Text => text(&warmed),
        };
        let exit = if warmed.iter().any(|warmed| warmed.error.is_some()) {
            Exit::Negative
        } else {
            Exit::Success
        };
        Ok(CommandOutput::new(out, exit))
    }
}

async fn warm(
    server: &Server,
    image: &ImageName,
    platform: &Platform,
    bars: &MultiProgress,
) -> Warmed {
    let bar = bars.add(ProgressBar::new(0).with_style(style()));
    let label = format!("{image} {platform}");
    bar.set_message(table::without_middle(&label, LABEL_WIDTH).into_owned());
    let (state, error) = match pull(server, image, platform, &bar).await {
        Ok(()) => stored(server, image, platform).await,
        Err(error) => (State::Failed, Some(ErrorChain(&error).to_string())),
    };
    bar.finish();
    Warmed {
        name: server.named(image).to_string(),
        platform: platform.to_string(),
        bytes: bar.position(),
        state,
        error,
    }
}

/// What is stored of an image that has come, and if not all of it, why.
async fn stored(
    server: &Server,
    image: &ImageName,
    platform: &Platform,
) -> (State, Option<String>) {
    match server.known(image).await {
        Err(_) => (State::Pulled, None),
        Ok(known) => match ready::judge(image, platform, known.as_ref()) {
            Ok(_) => (State::Cached, None),
            Err(reason) => (
                State::Failed,
                Some(format!("it came, and is not stored whole: {reason}")),
            ),
        },
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
    resolve::require(server, image, digest, platform).await?;
    let manifest = server
        .manifest(image, &Reference::Digest(digest), everything)
        .await?
        .manifest()?;
    let links: Vec<&Descriptor> = manifest.links().collect();
    bar.set_length(links.iter().map(|link| link.size).sum());
    for link in links {
        let count = |piece: &[u8]| bar.inc(piece.len() as u64);
        match server.read_blob(image, &link.digest, count).await {
            // Its vendor has it, and clients fetch it from there.
            Err(ClientError::Refused { status, .. })
                if link.is_foreign() && status == StatusCode::NOT_FOUND => {}
            read => read?,
        }
    }
    Ok(())
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template(
        "{msg:28} {bar:10} {binary_bytes:>11}/{binary_total_bytes:11} {binary_bytes_per_sec:>12} {eta:>3}",
    )
        .expect("the template is valid")
}

fn text(warmed: &[Warmed]) -> String {
    let mut table = Table::left(["IMAGE", "PLATFORM", "BYTES", ""]);
    for warmed in warmed {
        let outcome = match &warmed.error {
            Some(error) => format!("failed: {error}"),
            None if warmed.state == State::Pulled => "pulled".to_owned(),
            None => "cached".to_owned(),
        };
        table.row([
            warmed.name.clone(),
            warmed.platform.clone(),
            table::size(warmed.bytes),
            outcome,
        ]);
    }
    table.on_screen()
}
