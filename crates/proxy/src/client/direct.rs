//! Asking an upstream itself, with the credentials of the configuration and nothing cached.

use std::sync::Arc;

use futures_util::TryStreamExt;
use manifest_model::{
    Choice, Digest, MAX_INDEX_DEPTH, Manifest, Matcher, Platform, Reference, RepoName, choose,
    offered,
};

use super::{ClientError, ImageName};
use crate::{
    config::Config,
    pull::official_name,
    telemetry::metrics::UpstreamMetrics,
    upstream::{BlobSource, Part, Registry, Upstream},
};

/// The largest image config read to learn its platform.
const LARGEST_CONFIG: usize = 8 * 1024 * 1024;

/// One repository at its upstream.
#[derive(Debug)]
pub struct Direct {
    upstream: Arc<Upstream>,
    repository: RepoName,
}

impl Direct {
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

    /// A manifest, verified.
    pub async fn manifest(&self, reference: &Reference) -> Result<Manifest, ClientError> {
        Ok(self.upstream.manifest(&self.repository, reference).await?)
    }

    /// The image `reference` means for `wanted`, chosen as Archway would.
    pub async fn resolve(
        &self,
        reference: &Reference,
        wanted: &Platform,
    ) -> Result<Digest, ClientError> {
        let matcher = Matcher::new(wanted);
        let mut current = self.manifest(reference).await?;
        let nothing = |index: &Manifest| ClientError::NothingFits {
            wanted: wanted.clone(),
            offered: listed(index),
        };
        for _ in 0..=MAX_INDEX_DEPTH {
            if !current.is_index() {
                return Ok(current.digest());
            }
            match choose(current.entries(), &matcher) {
                // What it is, its bytes say; the entry may say something else.
                Choice::Manifest(entry) | Choice::Index(entry) => {
                    current = self.manifest(&Reference::Digest(entry.digest)).await?;
                }
                Choice::Unverified(entry) => {
                    let digest = entry.digest;
                    let image = self.manifest(&Reference::Digest(digest)).await?;
                    if image.is_index() {
                        current = image;
                        continue;
                    }
                    let platform = self.platform(&image).await?;
                    return if platform.is_some_and(|platform| matcher.matches(&platform)) {
                        Ok(digest)
                    } else {
                        Err(nothing(&current))
                    };
                }
                Choice::None => return Err(nothing(&current)),
            }
        }
        Err(nothing(&current))
    }

    /// What an image's config says it is for.
    pub async fn platform(&self, image: &Manifest) -> Result<Option<Platform>, ClientError> {
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

fn listed(index: &Manifest) -> String {
    let offered: Vec<_> = offered(index.entries())
        .iter()
        .map(ToString::to_string)
        .collect();
    if offered.is_empty() {
        "none at all".to_owned()
    } else {
        offered.join(", ")
    }
}
