//! What a site takes: judged by the lock, before the first byte of content.

use std::{collections::HashSet, fmt};

use bundle::{Bundle, KeyNumber, Lock, Place, PublicKey, signer};
use cache::{Allowance, BundleRow, Cache, CacheError, CarriedName, Stage};
use manifest_model::{Digest, RepoKey, Tag};
use protocol::host::Host;

use crate::{
    error::ImportError,
    rename::{Destination, NewPlace},
};

/// What a site takes, and what its operator allows for one import.
pub struct Rules {
    /// Whose bundles are trusted; none means that no signature is needed.
    pub trusted: Vec<PublicKey>,
    /// Whether a host is an upstream that the site has configured.
    pub is_configured: Box<dyn Fn(&Host) -> bool + Send + Sync>,
    /// What is allowed that is refused as a rule.
    pub allowed: Vec<Allowance>,
    /// Where the images go, if not to their own names.
    pub place: Option<NewPlace>,
    /// Whether tags and pins go that earlier bundles of the series brought, and this one does not.
    pub prune: bool,
}

impl fmt::Debug for Rules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Rules");
        shown.field("trusted", &self.trusted);
        shown.field("allowed", &self.allowed);
        shown.finish_non_exhaustive()
    }
}

/// What goes with `--prune`.
#[derive(Debug, Default)]
pub(crate) struct Pruned {
    pub(crate) bundles: Vec<Digest>,
    pub(crate) tags: Vec<(RepoKey, Tag)>,
}

impl Pruned {
    /// The tags, as people read them.
    pub(crate) fn names(&self) -> Vec<String> {
        let tags = self.tags.iter();
        tags.map(|(repository, tag)| format!("{repository}:{tag}"))
            .collect()
    }
}

impl Rules {
    pub(crate) fn allows(&self, allowance: Allowance) -> bool {
        self.allowed.contains(&allowance)
    }

    /// The key that has signed; `None` where none is asked for.
    pub(crate) fn signer(&self, bundle: &Bundle) -> Result<Option<KeyNumber>, ImportError> {
        if self.trusted.is_empty() {
            return Ok(None);
        }
        match signer(bundle, &self.trusted) {
            Ok(key) => Ok(Some(key)),
            Err(_) if self.allows(Allowance::Unsigned) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A bundle brings nothing for an upstream that the site has not configured.
    pub(crate) fn check_names(&self, destinations: &[Destination<'_>]) -> Result<(), ImportError> {
        let mut strangers = destinations.iter();
        match strangers.find(|destination| !(self.is_configured)(destination.host)) {
            Some(stranger) => Err(ImportError::NotConfigured {
                name: stranger.image.name.to_string(),
                host: stranger.host.to_string(),
            }),
            None => Ok(()),
        }
    }

    /// Whether the site has a later bundle of the series, which must be allowed.
    pub(crate) fn is_older(
        &self,
        bundle: &Bundle,
        known: &[BundleRow],
    ) -> Result<bool, ImportError> {
        let lock = bundle.lock();
        let (Some(series), Some(sequence)) = (&lock.series, lock.sequence) else {
            return Ok(false);
        };
        let later = known
            .iter()
            .filter(|row| row.stage == Stage::Imported && row.id != bundle.id())
            .filter_map(|row| Some((row.series.as_ref()?, row.id)))
            .filter(|((name, number), _)| name == series.as_str() && *number >= sequence)
            .max_by_key(|((_, number), _)| *number);
        match later {
            Some(_) if self.allows(Allowance::Older) => Ok(true),
            Some(((_, later), id)) => Err(ImportError::Older {
                series: series.to_string(),
                sequence,
                later: *later,
                id,
            }),
            None => Ok(false),
        }
    }

    /// What of the series goes when this bundle comes.
    pub(crate) fn pruned(
        &self,
        bundle: &Bundle,
        destinations: &[Destination<'_>],
        known: &[BundleRow],
    ) -> Result<Pruned, ImportError> {
        if !self.prune {
            return Ok(Pruned::default());
        }
        let series = bundle.lock().series.as_ref();
        let series = series.ok_or(ImportError::NoSeries)?;
        let is_ours = |row: &&BundleRow| {
            let name = row.series.as_ref().map(|(name, _)| name.as_str());
            name == Some(series.as_str()) && row.id != bundle.id()
        };
        let replaced: Vec<&BundleRow> = known.iter().filter(is_ours).collect();
        let listed = destinations.iter().flat_map(|destination| {
            let attached = destination.image.attached.iter();
            let tags = attached.filter_map(|attached| attached.tag.as_ref());
            let tags = tags.chain(destination.tag);
            tags.map(|tag| (destination.repository.clone(), tag.clone()))
        });
        let others = known
            .iter()
            .filter(|row| row.id != bundle.id() && !is_ours(row));
        let others = others.flat_map(|row| row.names.iter().filter_map(CarriedName::tagged));
        let kept: HashSet<_> = listed.chain(others).collect();
        let mut tags: Vec<_> = replaced
            .iter()
            .flat_map(|row| row.names.iter().filter_map(CarriedName::tagged))
            .filter(|tag| !kept.contains(tag))
            .collect();
        tags.sort_by_cached_key(|(repository, tag)| format!("{repository}:{tag}"));
        tags.dedup();
        Ok(Pruned {
            bundles: replaced.iter().map(|row| row.id).collect(),
            tags,
        })
    }
}

/// What a delta leaves out must be here.
pub(crate) fn check_base(lock: &Lock, cache: &Cache) -> Result<(), ImportError> {
    let mut first = None;
    let mut missing = HashSet::new();
    for blob in lock.blobs.iter().filter(|blob| blob.place == Place::Base) {
        if !is_stored(cache, &blob.digest, blob.size)? {
            first = first.or(Some(blob.digest));
            missing.insert(blob.digest);
        }
    }
    let Some(first) = first else {
        return Ok(());
    };
    let requires: Vec<String> = lock.requires.iter().map(Digest::to_string).collect();
    let needs = |image: &&bundle::Image| image.needs().any(|digest| missing.contains(&digest));
    let images = &lock.images;
    let name = images.iter().find(needs).or(images.first());
    Err(ImportError::NoBase {
        missing: missing.len(),
        total: lock.blobs.len(),
        first,
        name: name.map(|image| image.name.to_string()).unwrap_or_default(),
        requires: requires.join(", "),
    })
}

pub(crate) fn is_stored(cache: &Cache, digest: &Digest, size: u64) -> Result<bool, CacheError> {
    Ok(cache.peek_size(digest)? == Some(size))
}
