//! An index made from images that the upstream has under a name for each architecture.
//!
//! A source is left out only if the upstream reports it absent. A source that cannot be asked is an
//! error, so that an index never lacks an architecture for want of an answer. The platform of an
//! image is read from its config, never from its name, or taken from the entry of a pushed index.

use std::time::Duration;

use futures_util::future::try_join_all;
use manifest_model::{Manifest, Matcher, Platform, Source, SynthesisError, offered, synthesize};

use super::{Rules, SourceTag, Synthesized};
use crate::{PullError, Repository};

impl Rules {
    pub(super) async fn synthesize_index(
        &self,
        repository: &Repository,
        tags: &[SourceTag],
        required: &[Platform],
    ) -> Result<Synthesized, PullError> {
        let found = try_join_all(tags.iter().map(|tag| self.source(tag))).await?;
        let borrowed = tags
            .iter()
            .zip(&found)
            .filter(|(tag, _)| tag.repository.key != repository.key)
            .filter_map(|(tag, source)| Some((tag, source.as_ref()?)))
            .flat_map(|(tag, (source, _))| {
                let entries = source.entries.iter();
                entries.map(|entry| (tag.repository.clone(), entry.digest))
            })
            .collect();
        let sources: Vec<_> = found
            .iter()
            .flatten()
            .map(|(source, _)| source.clone())
            .collect();
        let age = found.iter().flatten().filter_map(|(_, age)| *age).max();
        let manifest = synthesize(&sources).map_err(|error| failed(error, tags))?;
        require(&manifest, required)?;
        Ok(Synthesized {
            manifest,
            borrowed,
            age,
        })
    }

    /// The images under one source tag, and its age where it could not be confirmed; `None` where the
    /// upstream has no such name.
    async fn source(
        &self,
        tag: &SourceTag,
    ) -> Result<Option<(Source, Option<Duration>)>, PullError> {
        let Some(found) = self.source_manifest(tag).await? else {
            return Ok(None);
        };
        let source = Source {
            name: tag.name(),
            root: found.manifest.digest(),
            entries: self.leaves(&tag.repository, found.manifest).await?,
        };
        Ok(Some((source, found.age)))
    }
}

fn failed(error: SynthesisError, tags: &[SourceTag]) -> PullError {
    match error {
        SynthesisError::Empty => PullError::NoSource {
            tried: tags.iter().map(SourceTag::name).collect(),
        },
        SynthesisError::Ambiguous {
            platform,
            candidates,
        } => PullError::Ambiguous {
            platform,
            candidates: candidates.to_vec(),
        },
        SynthesisError::NoPlatform(_) => PullError::Unresolvable("a source names no platform"),
        SynthesisError::Manifest(_) => {
            PullError::Unresolvable("its sources make too large an index")
        }
    }
}

/// Refuses an index without an image for each of these platforms; an older variant is no
/// substitute.
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
