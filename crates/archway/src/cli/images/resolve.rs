//! `archway resolve REF --platform PLATFORM`: the digest that a node of the platform would pull.

use clap::Args;
use client::{ClientError, InvalidAnswer, Server, UpstreamRepository, accepting};
use config::Config;
use http::HeaderValue;
use manifest_model::{Digest, Matcher, MediaType, Platform};
use protocol::{headers::ARCHWAY_PLATFORM, image_name::ImageName};

use super::{Format, ServerArgs};
use crate::cli::output::{CommandOutput, Failure, json};

/// Print the digest of the image for a platform
#[derive(Debug, Args)]
#[command(after_help = "\
A tag may be a single image instead of an index: then its config must name the platform.

Exit codes: 0 there is an image; 1 there is none, or no answer came; 2 the configuration is not valid.

Example:
  archway resolve public.ecr.aws/docker/library/busybox --platform linux/arm64")]
pub(crate) struct Resolve {
    #[arg(
        help = "Image to ask for: [HOST/]REPOSITORY[:TAG|@DIGEST] [default tag: latest]",
        value_name = "REF"
    )]
    image: ImageName,
    #[arg(help = "Platform, os/arch[/variant], for example linux/arm64", long)]
    platform: Platform,
    /// Take a tag without an index as it is, whatever platform its image is for
    #[arg(long)]
    any: bool,
    /// Ask the upstream itself instead of a running Archway
    #[arg(long)]
    direct: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

impl Resolve {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        self.server
            .ask(async |config, server| self.resolve(config, server).await)
    }

    async fn resolve(&self, config: &Config, server: &Server) -> Result<CommandOutput, Failure> {
        let digest = if self.direct {
            let upstream = UpstreamRepository::new(config, &server.named(&self.image))?;
            upstream
                .resolve(&self.image.reference, &self.platform)
                .await?
        } else {
            let found = through(server, &self.image, &self.platform).await?;
            if !self.any {
                require(server, &self.image, found, &self.platform).await?;
            }
            found
        };
        let out = match self.output {
            Format::Text => format!("{digest}\n"),
            Format::Json => json(&serde_json::json!({
                "name": server.named(&self.image).to_string(),
                "platform": self.platform.to_string(),
                "digest": digest.to_string(),
            })),
        };
        Ok(CommandOutput::success(out))
    }
}

/// Refuses an image that its own config says is for another platform: a tag without an index is
/// answered with its one image, whoever asks.
pub(super) async fn require(
    server: &Server,
    image: &ImageName,
    found: Digest,
    wanted: &Platform,
) -> Result<(), ClientError> {
    let named = server.platform_of(image, found).await?;
    match named {
        // One that the same processor runs is what an index would have given, too.
        Some(platform) if !Matcher::new(wanted).matches(&platform) => {
            Err(ClientError::NothingFits {
                wanted: wanted.clone(),
                offered: vec![platform],
            })
        }
        _ => Ok(()),
    }
}

/// Asks as a client that accepts no index: in every mode it gets the image of its platform. Only an
/// index that is named by its digest comes back as it is, and the choice is made here.
pub(super) async fn through(
    server: &Server,
    image: &ImageName,
    wanted: &Platform,
) -> Result<Digest, ClientError> {
    let mut headers = accepting([MediaType::OciManifest, MediaType::DockerManifest]);
    let platform = HeaderValue::try_from(wanted.to_string());
    headers.insert(
        ARCHWAY_PLATFORM,
        platform.expect("platforms are header text"),
    );
    let answer = server.look(image, &image.reference, headers).await?;
    let answer = answer.successful()?;
    let digest = answer
        .digest()
        .ok_or_else(|| answer.invalid(InvalidAnswer::NoDigest))?;
    if answer.media_type().is_some_and(|kind| kind.is_index()) {
        return server.choose(image, digest, wanted).await;
    }
    Ok(digest)
}
