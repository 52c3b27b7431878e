//! `archway ready REF --platform PLATFORM`: a gate for deployments.

use clap::Args;
use manifest_model::Platform;
use protocol::image_name::ImageName;
use proxy::inventory::Completeness;

use super::ServerArgs;
use crate::{
    cli::{
        output::{CommandOutput, Exit, Failure},
        table,
    },
    client::Server,
};

/// Check that an image is completely cached for a platform
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 it is; 1 it is not, or no answer came; 2 the configuration is not valid.

Example:
  archway ready team/app:v2 --platform linux/arm64 && kubectl rollout restart deployment/app")]
pub(crate) struct Ready {
    #[arg(
        help = "Image to ask for: [HOST/]REPOSITORY[:TAG|@DIGEST] [default tag: latest]",
        value_name = "REF"
    )]
    image: ImageName,
    #[arg(
        help = "Platform, os/arch[/variant], for example linux/arm64; a compatible one does not count",
        long
    )]
    platform: Platform,
    #[command(flatten)]
    server: ServerArgs,
}

impl Ready {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        self.server.ask(async |_, server| self.check(server).await)
    }

    async fn check(&self, server: &Server) -> Result<CommandOutput, Failure> {
        let (name, platform) = (&self.image, &self.platform);
        let Some(image) = server.known(&self.image).await? else {
            return Ok(negative(format!("{name} is not cached")));
        };
        let Some(part) = image.part(platform) else {
            return Ok(negative(format!("{name} has no image for {platform}")));
        };
        Ok(match (part.state, part.size) {
            (Completeness::Cached, _) => CommandOutput::success(format!(
                "{name} is cached for {platform}: {}\n",
                part.digest
            )),
            (Completeness::Partial, Some(size)) => negative(format!(
                "{name} is partly cached for {platform}: {} of {}",
                table::size(part.stored),
                table::size(size)
            )),
            _ => negative(format!("{name} is not cached for {platform}")),
        })
    }
}

fn negative(reason: String) -> CommandOutput {
    CommandOutput::new(reason + "\n", Exit::Negative)
}
