//! Whether a tag that is an index is answered with one of its children, and with which.
//!
//! The mode of the upstream decides whether a hint may replace the index; `manifest_model` chooses
//! the child as containerd would. `docs/clients.md` shows how each client handles either answer.

use std::sync::Arc;

use cache::ReadBy;
use config::Resolve;
use futures_util::TryStreamExt;
use manifest_model::{
    Choice, Descriptor, Digest, ImageConfig, MAX_INDEX_DEPTH, Manifest, Matcher, Platform, offered,
};
use moka::sync::Cache;

use crate::{
    PullError, Repository, Substitution,
    blobs::Blobs,
    hint::{Hint, PlatformRequest, Source},
    manifests::Manifests,
};

/// Whether an index is answered with a child, by the upstream's mode, the client's hint and what
/// the client can read.
///
/// A client that takes no index gets a child in every mode: of the hint's platform, else of the
/// default one. A client that takes indexes gets a child only where the mode lets the hint's source
/// decide.
pub fn choose_substitution(
    mode: Resolve,
    hint: Option<&Hint>,
    takes_index: bool,
    default: &Platform,
) -> Option<Substitution> {
    let (source, platform) = match hint {
        Some(Hint {
            wish: PlatformRequest::All,
            ..
        }) => return None,
        Some(Hint {
            source,
            wish: PlatformRequest::Platform(platform),
        }) => (*source, platform),
        None => (Source::Default, default),
    };
    let decides = match mode {
        Resolve::Needed => false,
        Resolve::Explicit => source.is_explicit(),
        Resolve::Always => source != Source::Default,
    };
    (decides || !takes_index).then(|| Substitution {
        platform: platform.clone(),
        source,
    })
}

/// Looks below indexes, and into image configs where an index names no platform.
#[derive(Debug)]
pub(super) struct Platforms {
    manifests: Arc<Manifests>,
    blobs: Arc<Blobs>,
    /// The children of large indexes: choosing among thousands of entries takes milliseconds.
    chosen: Cache<(Digest, Platform), Digest>,
}

/// An index of this size or more has its choices remembered.
const LARGE_INDEX: usize = 64 * 1024;

/// Choices remembered, of some 200 bytes each.
const MAX_CHOICES: u64 = 10_000;

impl Platforms {
    pub(super) fn new(manifests: Arc<Manifests>, blobs: Arc<Blobs>) -> Self {
        Self {
            manifests,
            blobs,
            chosen: Cache::new(MAX_CHOICES),
        }
    }

    /// The child of `index` for `wanted`, as containerd would choose it. Nested indexes are
    /// followed; an entry without a platform is judged by its image's config.
    ///
    /// `None` where the index is for no platform at all, as one of artifacts, and where the child may
    /// be an entry that only the client can read.
    pub(super) async fn child(
        &self,
        repository: &Repository,
        index: &Manifest,
        wanted: &Platform,
    ) -> Result<Option<Manifest>, PullError> {
        if let Some(child) = self.remembered(index, wanted) {
            let child = self.manifests.get(repository, &child).await?;
            return Ok(Some(child.manifest));
        }
        let child = self.choose(repository, index, wanted).await?;
        if let Some(child) = &child {
            self.remember(index, wanted, child);
        }
        Ok(child)
    }

    async fn choose(
        &self,
        repository: &Repository,
        index: &Manifest,
        wanted: &Platform,
    ) -> Result<Option<Manifest>, PullError> {
        let matcher = Matcher::new(wanted);
        let nothing_fits = |offered| PullError::NothingFits {
            wanted: wanted.clone(),
            offered,
        };
        let nothing_in = |current: &Manifest| {
            let indexes = [index, current];
            if indexes.iter().any(|index| index.unreadable() > 0) {
                return Ok(None);
            }
            let all = indexes.map(|index| offered(index.entries()));
            match all.into_iter().find(|offered| !offered.is_empty()) {
                Some(offered) => Err(nothing_fits(offered)),
                None => Ok(None),
            }
        };
        if index.is_index_of_artifacts() {
            return Ok(None);
        }
        let mut current = index.clone();
        for _ in 0..=MAX_INDEX_DEPTH {
            let (entry, is_named) = match current.choice(&matcher)? {
                Choice::Manifest(entry) => (entry, true),
                Choice::Unverified(entry) | Choice::Index(entry) => (entry, false),
                Choice::None => return nothing_in(&current),
            };
            // Its bytes decide whether it is an index; the entry may be wrong about it.
            let manifest = self
                .manifests
                .get(repository, &entry.digest)
                .await?
                .manifest;
            if manifest.is_index() {
                current = manifest;
                continue;
            }
            let is_image = manifest.media_type().is_image();
            if is_image && is_named {
                return Ok(Some(manifest).filter(|manifest| !manifest.is_artifact()));
            }
            if let Some(ambiguity) = manifest.ambiguity() {
                return Err(ambiguity.into());
            }
            let Some(config) = manifest.config().filter(|_| is_image) else {
                return nothing_in(&current);
            };
            let platform = self.config_platform(repository, config).await?;
            return if matcher.matches(&platform) {
                Ok(Some(manifest))
            } else if platform.architecture.is_empty() {
                nothing_in(&current)
            } else {
                Err(nothing_fits(offered(index.entries())))
            };
        }
        Err(PullError::Unresolvable("its indexes are nested too deep"))
    }

    /// The child that was chosen from a large index before.
    fn remembered(&self, index: &Manifest, wanted: &Platform) -> Option<Digest> {
        let is_large = index.bytes().len() >= LARGE_INDEX;
        let key = is_large.then(|| (index.digest(), wanted.clone()))?;
        self.chosen.get(&key)
    }

    fn remember(&self, index: &Manifest, wanted: &Platform, child: &Manifest) {
        if index.bytes().len() >= LARGE_INDEX {
            let key = (index.digest(), wanted.clone());
            self.chosen.insert(key, child.digest());
        }
    }

    /// The platform in an image's config; an empty one where it has none, as that of an artifact.
    pub(super) async fn config_platform(
        &self,
        repository: &Repository,
        config: &Descriptor,
    ) -> Result<Platform, PullError> {
        let answer = self.blobs.get(repository, &config.digest).await?;
        let mut stream = answer.bytes.read(0, None, ReadBy::Copy);
        let mut bytes = Vec::new();
        let broken = |_| PullError::Unresolvable("an image's config could not be read");
        while let Some(piece) = stream.try_next().await.map_err(broken)? {
            if bytes.len() + piece.len() > ImageConfig::MAX_BYTES {
                return Err(PullError::Unresolvable("an image's config is too large"));
            }
            bytes.extend_from_slice(&piece);
        }
        let config = ImageConfig::parse(&bytes).ok();
        let platform = config.as_ref().and_then(ImageConfig::platform);
        Ok(platform.cloned().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(source: Source) -> Hint {
        Hint {
            source,
            wish: PlatformRequest::Platform("linux/arm64".parse().unwrap()),
        }
    }

    fn source(mode: Resolve, hint: Option<&Hint>, takes_index: bool) -> Option<Source> {
        choose_substitution(mode, hint, takes_index, &"linux/amd64".parse().unwrap())
            .map(|chosen| chosen.source)
    }

    #[test]
    fn a_client_that_takes_no_index_gets_a_child_in_every_mode() {
        for mode in [Resolve::Needed, Resolve::Explicit, Resolve::Always] {
            assert_eq!(source(mode, None, false), Some(Source::Default));
            assert_eq!(
                source(mode, Some(&said(Source::UserAgent)), false),
                Some(Source::UserAgent)
            );
            assert_eq!(
                source(mode, Some(&said(Source::Header)), false),
                Some(Source::Header)
            );
        }
    }

    #[test]
    fn a_client_that_takes_indexes_gets_a_child_only_where_the_mode_says_so() {
        let (explicit, implicit) = (said(Source::Header), said(Source::Address));
        assert_eq!(source(Resolve::Needed, Some(&explicit), true), None);
        assert_eq!(
            source(Resolve::Explicit, Some(&explicit), true),
            Some(Source::Header)
        );
        assert_eq!(source(Resolve::Explicit, Some(&implicit), true), None);
        assert_eq!(
            source(Resolve::Always, Some(&implicit), true),
            Some(Source::Address)
        );
        assert_eq!(source(Resolve::Always, None, true), None);
    }

    #[test]
    fn all_means_the_index_always() {
        let all = Hint {
            source: Source::Query,
            wish: PlatformRequest::All,
        };
        for mode in [Resolve::Needed, Resolve::Explicit, Resolve::Always] {
            assert_eq!(source(mode, Some(&all), true), None);
            assert_eq!(source(mode, Some(&all), false), None);
        }
    }
}
