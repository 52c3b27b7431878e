//! `archway resolve REF --platform P`

use clap::Args;
use config::Config;
use http::HeaderValue;
use manifest_model::{Digest, MediaType, Platform};
use protocol::headers::ARCHWAY_PLATFORM;
use protocol::image_name::ImageName;
use serde_json::json;

use super::{Format, Outcome, Place};
use crate::{
    cli::Answer,
    client::{ClientError, Direct, Server, accepting},
};

/// Print the digest a name means for a platform.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  archway resolve public.ecr.aws/docker/library/busybox --platform linux/arm64"
)]
pub(crate) struct Resolve {
    /// The image, as any client names it: HOST/REPOSITORY:TAG or @DIGEST
    #[arg(value_name = "REF")]
    image: ImageName,
    /// os/arch[/variant]
    #[arg(long)]
    platform: Platform,
    /// Ask the upstream itself
    #[arg(long)]
    direct: bool,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    pub(super) place: Place,
}

impl Resolve {
    pub(super) async fn run(&self, config: &Config, server: &Server) -> Outcome {
        let digest = if self.direct {
            let direct = Direct::new(config, &server.named(&self.image))?;
            direct
                .resolve(&self.image.reference, &self.platform)
                .await?
        } else {
            through(server, &self.image, &self.platform).await?
        };
        let out = match self.output {
            Format::Text => format!("{digest}\n"),
            Format::Json => super::json(&json!({
                "name": self.image.to_string(),
                "platform": self.platform.to_string(),
                "digest": digest.to_string(),
            })),
        };
        Ok(Answer::good(out))
    }
}

/// Asks as a client that accepts no index: in every mode it gets the image for its platform, unless
/// it names an index by digest.
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
        .ok_or_else(|| answer.unreadable("it names no digest"))?;
    if answer.media_type().is_some_and(|kind| kind.is_index()) {
        return server.choose(image, digest, wanted).await;
    }
    Ok(digest)
}
