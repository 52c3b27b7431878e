//! An index made of what the upstream has under a name for each architecture.
//!
//! A source the upstream says it lacks is left out; a source that cannot be asked is an error, so that an index never
//! lacks an architecture for want of an answer. Whose platform an image is says its config, never its name; only what a
//! pushed index says about its entries is taken from there.

use futures_util::{FutureExt, future::try_join_all};
use manifest_model::{
    Descriptor, Manifest, Matcher, Platform, Source, SynthesisError, offered, synthesize,
};

use super::{
    Pull, PullError, Repository,
    platform::MAX_DEPTH,
    rules::{Looked, Made},
};

/// The most entries of one source, with those of the indexes it nests.
const MAX_ENTRIES: usize = 256;

impl Pull {
    pub(super) async fn virtual_index(
        &self,
        repository: &Repository,
        looked: Vec<Looked>,
        required: &[Platform],
    ) -> Result<Made, PullError> {
        let found = try_join_all(looked.iter().map(|looked| self.source(looked))).await?;
        let lent = looked
            .iter()
            .zip(&found)
            .filter(|(looked, _)| looked.repository.key != repository.key)
            .filter_map(|(looked, source)| Some((looked, source.as_ref()?)))
            .flat_map(|(looked, source)| {
                let entries = source.entries.iter();
                entries.map(|entry| (looked.repository.clone(), entry.digest))
            })
            .collect();
        let sources: Vec<_> = found.iter().flatten().cloned().collect();
        let manifest = match synthesize(&sources) {
            Ok(manifest) => manifest,
            Err(SynthesisError::Empty) => {
                return Err(PullError::NoSource {
                    tried: looked.iter().map(Looked::name).collect(),
                });
            }
            Err(SynthesisError::Ambiguous {
                platform,
                candidates,
            }) => {
                return Err(PullError::Ambiguous {
                    platform,
                    candidates: candidates.to_vec(),
                });
            }
            Err(SynthesisError::NoPlatform(_)) => {
                return Err(PullError::Unresolvable("a source names no platform"));
            }
            Err(SynthesisError::Manifest(_)) => {
                return Err(PullError::Unresolvable(
                    "its sources make too large an index",
                ));
            }
        };
        require(&manifest, required)?;
        Ok(Made { manifest, lent })
    }

    /// What one source brings; `None` where the upstream says it has no such name.
    async fn source(&self, looked: &Looked) -> Result<Option<Source>, PullError> {
        let Some(root) = self.look(looked).await? else {
            return Ok(None);
        };
        Ok(Some(Source {
            name: looked.name(),
            root: root.digest(),
            entries: self.leaves(&looked.repository, root).await?,
        }))
    }

    /// The images and attestations below a manifest, itself if it is one, with their platforms; indexes are opened.
    pub(super) async fn leaves(
        &self,
        repository: &Repository,
        root: Manifest,
    ) -> Result<Vec<Descriptor>, PullError> {
        if !root.is_index() {
            return Ok(vec![self.described(repository, &root).await?]);
        }
        let (mut leaves, mut entries_left) = (Vec::new(), MAX_ENTRIES);
        let mut waiting = vec![(root, 1)];
        while let Some((index, depth)) = waiting.pop() {
            for entry in index.entries() {
                // Indexes count, too: those without an image would be opened for ever.
                entries_left = entries_left
                    .checked_sub(1)
                    .ok_or(PullError::Unresolvable("a source has too many entries"))?;
                let is_told = entry.media_type.is_image() && entry.platform.is_some();
                if is_told || entry.is_attestation() {
                    leaves.push(entry.clone());
                    continue;
                }
                let below = self.by_digest(repository, &entry.digest).await?.manifest;
                if !below.is_index() {
                    let annotations = entry.annotations.clone();
                    let leaf = self.described(repository, &below).await?;
                    leaves.push(Descriptor {
                        annotations,
                        ..leaf
                    });
                } else if depth < MAX_DEPTH {
                    waiting.push((below, depth + 1));
                } else {
                    return Err(PullError::Unresolvable("its indexes are nested too deep"));
                }
            }
        }
        Ok(leaves)
    }

    /// An image as an index would list it, with the platform its config says.
    async fn described(
        &self,
        repository: &Repository,
        image: &Manifest,
    ) -> Result<Descriptor, PullError> {
        let config = image.config().filter(|_| image.media_type().is_image());
        let config = config.ok_or(PullError::Unresolvable("a source is no image"))?;
        let platform = self.config_platform(repository, config).boxed().await?;
        if platform.architecture.is_empty() {
            return Err(PullError::Unresolvable(
                "an image's config names no platform",
            ));
        }
        Ok(Descriptor {
            media_type: image.media_type().clone(),
            digest: image.digest(),
            size: image.bytes().len() as u64,
            platform: Some(platform),
            annotations: std::collections::BTreeMap::new(),
        })
    }
}

/// Refuses an index without an image for each of these platforms; an older variant is no substitute.
fn require(index: &Manifest, platforms: &[Platform]) -> Result<(), PullError> {
    let there = offered(index.entries());
    for wanted in platforms {
        let matcher = Matcher::strict(wanted);
        if !there.iter().any(|platform| matcher.matches(platform)) {
            return Err(PullError::NothingFits {
                wanted: wanted.clone(),
                offered: there,
            });
        }
    }
    Ok(())
}
