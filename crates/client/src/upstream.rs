//! Requests to an upstream itself, with the credentials of the configuration and without the cache.

use std::sync::Arc;

use config::Config;
use futures_util::TryStreamExt;
use manifest_model::{Digest, ImageConfig, Manifest, Platform, Reference, RepoName};
use protocol::image_name::ImageName;
use pull::official_name;
use upstream::{BlobSource, Part, Registry, Upstream, UpstreamMetrics};

use super::{
    choice::{self, ManifestSource},
    error::ClientError,
};

/// A repository at its upstream.
#[derive(Debug)]
pub struct UpstreamRepository {
    upstream: Arc<Upstream>,
    repository: RepoName,
}

impl UpstreamRepository {
    /// The repository of `image`, if its upstream is configured. Nothing is contacted yet.
    pub fn new(config: &Config, image: &ImageName) -> Result<Self, ClientError> {
        let host = image.host.as_ref().unwrap_or(&config.default_upstream);
        let upstream = Registry::new(config.upstreams.clone(), UpstreamMetrics::default())
            .find(host)?
            .ok_or_else(|| ClientError::NotConfigured(host.clone()))?;
        Ok(Self {
            upstream,
            repository: official_name(host, &image.repository),
        })
    }

    /// Fetches a manifest and checks its digest.
    pub async fn manifest(&self, reference: &Reference) -> Result<Manifest, ClientError> {
        let deadline = self.upstream.deadline();
        let manifest = self
            .upstream
            .manifest(&self.repository, reference, &deadline);
        Ok(manifest.await?)
    }

    /// Chooses the image of `reference` for `wanted`, as Archway does.
    pub async fn resolve(
        &self,
        reference: &Reference,
        wanted: &Platform,
    ) -> Result<Digest, ClientError> {
        choice::resolve(self, reference, wanted).await
    }

    /// The platform in the config of an image; `None` where it names none, is too large or does not
    /// match its digest.
    pub async fn platform(&self, image: &Manifest) -> Result<Option<Platform>, ClientError> {
        let Some(config) = image.config() else {
            return Ok(None);
        };
        let source = BlobSource::new(
            Arc::clone(&self.upstream),
            self.repository.clone(),
            config.digest,
        );
        let body = source.get(Part::Whole, &self.upstream.deadline()).await?;
        let mut pieces = body.bytes;
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.try_next().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > ImageConfig::MAX_BYTES {
                return Ok(None);
            }
        }
        if Digest::of(config.digest.algorithm(), &bytes) != config.digest {
            return Ok(None);
        }
        Ok(choice::platform_in(&bytes))
    }
}

impl ManifestSource for UpstreamRepository {
    async fn fetch(&self, reference: &Reference) -> Result<Manifest, ClientError> {
        self.manifest(reference).await
    }

    async fn platform_of(&self, image: &Manifest) -> Result<Option<Platform>, ClientError> {
        self.platform(image).await
    }
}
