//! The judgement of a bundle by its lock, and what it makes visible in the end.

use std::{
    collections::HashSet,
    time::{SystemTime, UNIX_EPOCH},
};

use bundle::{Bundle, Lock};
use cache::{Allowance, Arrival, BundleRow, Cache, CarriedName, Stage};
use manifest_model::Digest;

use crate::{
    arrival,
    error::ImportError,
    rename::{Destination, destinations},
    rules::{Pruned, Rules, check_base},
};

/// A bundle that may come in.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) row: BundleRow,
    pub(crate) pruned: Pruned,
}

impl Judged {
    /// Judges a bundle by its lock: reads nothing else and changes nothing. Blocks for a look at each
    /// blob that it builds on.
    pub(crate) fn of(cache: &Cache, rules: &Rules, bundle: &Bundle) -> Result<Self, ImportError> {
        let known = cache.imports().all()?;
        let lock = bundle.lock();
        let signer = rules.signer(bundle)?;
        let destinations = destinations(&lock.images, rules.place.as_ref())?;
        rules.check_names(&destinations)?;
        let is_older = rules.is_older(bundle, &known)?;
        check_base(lock, cache)?;
        let pruned = rules.pruned(bundle, &destinations, &known)?;
        let mut allowed = Vec::new();
        if signer.is_none() && !rules.trusted.is_empty() {
            allowed.push(Allowance::Unsigned);
        }
        if is_older {
            allowed.push(Allowance::Older);
        }
        let series = lock.series.as_ref().map(ToString::to_string);
        let row = BundleRow {
            id: bundle.id(),
            stage: Stage::Arriving,
            since: now(),
            series: series.zip(lock.sequence),
            signer: signer.map(|key| key.to_string()),
            allowed,
            images: lock.images.len() as u64,
            names: destinations.iter().flat_map(carried_names).collect(),
        };
        let is_here = |known: &BundleRow| known.id == row.id && known.stage == Stage::Imported;
        let here = known.into_iter().find(is_here);
        Ok(Self {
            row: match here {
                Some(here) => again(row, here),
                None => row,
            },
            pruned,
        })
    }

    /// Pins all that the lock lists, stored or not.
    pub(crate) fn begin(&self, cache: &Cache, lock: &Lock) -> Result<(), ImportError> {
        let blobs: Vec<Digest> = lock.blobs.iter().map(|blob| blob.digest).collect();
        Ok(cache.imports().begin(&self.row, &blobs)?)
    }

    /// What becomes visible at the end, now that all blobs are here.
    pub(crate) fn arrival(
        self,
        cache: &Cache,
        rules: &Rules,
        lock: &Lock,
    ) -> Result<Arrival, ImportError> {
        let destinations = destinations(&lock.images, rules.place.as_ref())?;
        Ok(Arrival {
            manifests: arrival::manifests(lock, &destinations, cache)?,
            bundle: BundleRow {
                stage: Stage::Imported,
                since: now(),
                ..self.row
            },
            replaced: self.pruned.bundles,
            pruned: self.pruned.tags,
        })
    }
}

/// The row of a bundle that is here already: nothing of it becomes invisible, and it keeps the
/// names that its images have from an earlier import, which may be others with `--as`.
fn again(row: BundleRow, here: BundleRow) -> BundleRow {
    let mut names = here.names;
    let known: HashSet<_> = names.iter().cloned().collect();
    let new = row.names.into_iter();
    names.extend(new.filter(|name| !known.contains(name)));
    BundleRow {
        stage: here.stage,
        since: here.since,
        names,
        ..row
    }
}

/// The names of an image and of what is attached to it.
fn carried_names<'a>(
    destination: &'a Destination<'_>,
) -> impl Iterator<Item = CarriedName> + use<'a> {
    let repository = &destination.repository;
    let image = CarriedName::new(repository, destination.tag, destination.image.digest);
    let attached = destination.image.attached.iter();
    let attached = attached.map(|attached| {
        let tag = attached.tag.as_ref();
        CarriedName::new(repository, tag, attached.digest)
    });
    [image].into_iter().chain(attached)
}

/// Seconds since 1970 by this machine's clock, which may be wrong: shown, and used for nothing else.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
