//! `archway ready REF --platform PLATFORM`: a gate for deployments.

use clap::Args;
use manifest_model::{Digest, Platform};
use protocol::image_name::ImageName;
use proxy::inventory::{Completeness, Image};

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
        let (image, is_offline) = server.look_up(name).await?;
        Ok(match judge(name, platform, image.as_ref()) {
            Ok(digest) => {
                CommandOutput::success(format!("{name} is cached for {platform}: {digest}\n"))
            }
            Err(reason) => {
                let offline = if is_offline {
                    "; its upstream is offline, so only an import brings it"
                } else {
                    ""
                };
                CommandOutput::new(format!("{reason}{offline}\n"), Exit::Negative)
            }
        })
    }
}

/// The digest of what is stored whole for a platform, or what there is instead. An image for a
/// compatible platform does not count.
pub(super) fn judge(
    name: &ImageName,
    platform: &Platform,
    image: Option<&Image>,
) -> Result<Digest, String> {
    let image = image.ok_or_else(|| format!("{name} is not cached"))?;
    let Some(part) = image.part(platform) else {
        return Err(format!("{name} has no image for {platform}"));
    };
    match (part.state, part.size) {
        (Completeness::Cached, _) => Ok(part.digest),
        (Completeness::Partial, Some(size)) => Err(format!(
            "{name} is partly cached for {platform}: {} of {}",
            table::size(part.stored),
            table::size(size)
        )),
        _ => {
            let left_out = part.left_out_by.map_or_else(String::new, |bundle| {
                format!(": bundle {} left it out", table::short(&bundle))
            });
            Err(format!("{name} is not cached for {platform}{left_out}"))
        }
    }
}
