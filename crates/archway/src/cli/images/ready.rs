//! `archway ready REF --platform P`: a gate for deployments.

use clap::Args;
use manifest_model::Platform;
use protocol::image_name::ImageName;
use proxy::inventory::Completeness;

use super::{Outcome, Place};
use crate::{
    cli::{Answer, table},
    client::Server,
};

/// End with 0 if an image is cached whole for a platform, else with 1.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  archway ready team/app:v2 --platform linux/arm64 && kubectl rollout restart deployment/app"
)]
pub(crate) struct Ready {
    /// The image, as any client names it: HOST/REPOSITORY:TAG or @DIGEST
    #[arg(value_name = "REF")]
    image: ImageName,
    /// os/arch[/variant], taken strictly: what its processor runs as well does not count
    #[arg(long)]
    platform: Platform,
    #[command(flatten)]
    pub(super) place: Place,
}

impl Ready {
    pub(super) async fn run(&self, server: &Server) -> Outcome {
        let (name, platform) = (&self.image, &self.platform);
        let Some(image) = server.known(&self.image).await? else {
            return Ok(not(format!("{name} is not cached")));
        };
        let Some(part) = image.part(platform) else {
            return Ok(not(format!("{name} has nothing for {platform}")));
        };
        Ok(match (part.state, part.size) {
            (Completeness::Cached, _) => Answer::good(format!(
                "{name} is cached for {platform}: {}\n",
                part.digest
            )),
            (Completeness::Partial, Some(size)) => not(format!(
                "{name} is cached for {platform} in part: {} of {}",
                table::size(part.stored),
                table::size(size)
            )),
            _ => not(format!("{name} is not cached for {platform}")),
        })
    }
}

fn not(why: String) -> Answer {
    Answer {
        code: 1,
        ..Answer::good(why + "\n")
    }
}
