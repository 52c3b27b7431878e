//! `refresh`: a tag asked for again now, whatever its age and however immutable it is said to be.

use std::net::{IpAddr, Ipv4Addr};

use manifest_model::Reference;
use protocol::{
    host::Host,
    image_name::{ImageName, NameError},
};
use pull::{Asker, PullError};
use tracing::info;

use crate::{Control, Refreshed};

/// Why a tag was not asked for, or the answer did not come.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefreshError {
    /// The text is no image.
    #[error("write an image as `docker pull` takes it")]
    Name(#[from] NameError),
    /// There is nothing to ask.
    #[error("a digest never changes, so there is nothing to ask; name a tag")]
    Digest,
    /// Its upstream is not configured.
    #[error("the upstream {0} is not configured; add [upstream.\"{0}\"]")]
    NotConfigured(Host),
    /// Clients may not ask for it either.
    #[error("`allow_repositories` of [upstream.\"{0}\"] leaves this repository out")]
    NotAllowed(Host),
    /// The upstream is offline, or gave no answer.
    #[error(transparent)]
    Pull(#[from] PullError),
}

/// An operator is a client of this machine.
const OPERATOR: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Asks the upstream for the tag of `name`, and keeps what it says.
pub(crate) async fn refresh(control: &Control, name: &str) -> Result<Refreshed, RefreshError> {
    let config = control.config.current();
    let (host, image) = config.meant(&name.parse::<ImageName>()?);
    let Reference::Tag(tag) = &image.reference else {
        return Err(RefreshError::Digest);
    };
    let repository = control
        .pull
        .repository(&host, &image.repository, Asker::Client(OPERATOR.into()))?
        .ok_or_else(|| RefreshError::NotConfigured(host.clone()))?;
    if !repository.upstream().config().allows(repository.name()) {
        return Err(RefreshError::NotAllowed(host));
    }
    let (previous, manifest) = control.pull.refresh(&repository, tag).await?;
    let refreshed = Refreshed {
        name: image.to_string(),
        digest: manifest.digest(),
        previous,
    };
    info!(name = refreshed.name, digest = %refreshed.digest, moved = refreshed.has_moved(), "refreshed for an operator");
    Ok(refreshed)
}
