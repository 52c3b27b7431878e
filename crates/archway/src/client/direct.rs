//! Asking an upstream itself, with the credentials of the configuration and nothing cached.

use protocol::image_name::ImageName;
use std::sync::Arc;

use config::Config;
use futures_util::TryStreamExt;
use manifest_model::{Digest, Manifest, Platform, Reference, RepoName};
use proxy::pull::official_name;
use upstream::{BlobSource, Part, Registry, Upstream, UpstreamMetrics};

use super::{
    ClientError,
    choice::{self, LARGEST_CONFIG, Source},
};

/// One repository at its upstream.
#[derive(Debug)]
pub(crate) struct Direct {
    upstream: Arc<Upstream>,
    repository: RepoName,
}

impl Direct {
    /// The repository of `image`, if its upstream is configured. Nothing is contacted yet.
    pub(crate) fn new(config: &Config, image: &ImageName) -> Result<Self, ClientError> {
        let host = image.host.as_ref().unwrap_or(&config.default_upstream);
        let upstream = Registry::new(config.upstreams.clone(), UpstreamMetrics::default())
            .find(host)?
            .ok_or_else(|| ClientError::NotConfigured(host.clone()))?;
        Ok(Self {
            upstream,
            repository: official_name(host, &image.repository),
        })
    }

    /// A manifest, verified.
    pub(crate) async fn manifest(&self, reference: &Reference) -> Result<Manifest, ClientError> {
        Ok(self.upstream.manifest(&self.repository, reference).await?)
    }

    /// The image `reference` means for `wanted`, chosen as Archway would.
    pub(crate) async fn resolve(
        &self,
        reference: &Reference,
        wanted: &Platform,
    ) -> Result<Digest, ClientError> {
        choice::resolve(self, reference, wanted).await
    }

    /// The platform that an image's config names.
    pub(crate) async fn platform(&self, image: &Manifest) -> Result<Option<Platform>, ClientError> {
        let Some(config) = image.config() else {
            return Ok(None);
        };
        let source = BlobSource::new(
            Arc::clone(&self.upstream),
            self.repository.clone(),
            config.digest,
        );
        let body = source.get(Part::Whole).await?;
        let mut pieces = body.bytes;
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.try_next().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > LARGEST_CONFIG {
                return Ok(None);
            }
        }
        if Digest::of(config.digest.algorithm(), &bytes) != config.digest {
            return Ok(None);
        }
        Ok(Platform::of_config(&bytes).ok())
    }
}

impl Source for Direct {
    async fn fetch(&self, reference: &Reference) -> Result<Manifest, ClientError> {
        self.manifest(reference).await
    }

    async fn platform_of(&self, image: &Manifest) -> Result<Option<Platform>, ClientError> {
        self.platform(image).await
    }
}
