//! `archway ready REF --platform PLATFORM`: a gate for deployments.

use clap::Args;
use client::Server;
use image_inventory::{Completeness, Image, Listing};
use manifest_model::{Digest, Platform};
use protocol::image_name::ImageName;
use pull::TagState;
use terminal::table;

use super::ServerArgs;
use crate::cli::output::{CommandOutput, Exit, Failure};

/// Check that an image is completely cached for a platform
#[derive(Debug, Args)]
#[command(after_help = "\
A tag that is expired (see `archway images`) while its upstream is down is not ready: clients get an
error for it, however much of it is stored.

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
        let (name, platform) = (&server.named(&self.image), &self.platform);
        let query = [("name", name.to_string())];
        let listing = server.images(&query).await?;
        let image = listing.images.first();
        let offline = name
            .host
            .as_ref()
            .is_some_and(|host| listing.is_offline(host));
        let verdict = judge(name, platform, image).and_then(|digest| {
            let refused = image.and_then(|image| no_client_gets(image, &listing));
            refused.map_or(Ok(digest), Err)
        });
        Ok(match verdict {
            Ok(digest) => {
                let age = image.map_or_else(String::new, |image| age(image, &listing));
                CommandOutput::success(format!("{name} is cached for {platform}: {digest}\n{age}"))
            }
            Err(reason) => {
                let offline = if offline {
                    "; its upstream is offline, so only an import brings it"
                } else {
                    ""
                };
                CommandOutput::new(format!("{reason}{offline}\n"), Exit::Negative)
            }
        })
    }
}

/// Why clients get an error for a tag that is stored whole: it is too old to go out unconfirmed, and
/// its upstream is down.
fn no_client_gets(image: &Image, listing: &Listing) -> Option<String> {
    let cause = listing.down.get(image.upstream.as_str())?;
    (image.tag_state == Some(TagState::Expired)).then(|| {
        let confirmed = image.confirmed.map(|time| time.to_string());
        format!(
            "{} is stored, and no client gets it: it was confirmed {}, which is longer ago than \
             `stale_if_error` allows, and its upstream is down: {cause}; raise `stale_if_error`, or pull \
             {}",
            image.name(),
            confirmed.as_deref().unwrap_or("long ago"),
            image.digest
        )
    })
}

/// A line on a tag that clients get only by the grace of its age or its upstream.
fn age(image: &Image, listing: &Listing) -> String {
    let expires = image.expires.map(|time| time.to_string());
    let expires = expires.as_deref().unwrap_or("never");
    let down = listing.down.get(image.upstream.as_str());
    match (image.tag_state, down) {
        (Some(TagState::Stale), Some(cause)) => {
            format!(
                "its upstream is down ({cause}): clients get the tag as last seen until {expires}\n"
            )
        }
        (Some(TagState::Expired), _) => {
            "the tag is expired: clients get it if the upstream answers\n".to_owned()
        }
        _ => String::new(),
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
