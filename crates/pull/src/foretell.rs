//! What a client would be answered, from what is stored alone: nobody is asked, and nothing is used,
//! kept or changed by it.

use std::time::Duration;

use cache::Cache;
use manifest_model::{Choice, MAX_INDEX_DEPTH, Manifest, Matcher, Platform, Reference};
use upstream::Resource;

use crate::{
    Outcome, PullError, Repository, Substitution,
    answer::{Client, ManifestAnswer, Served},
    platforms::{for_client, nothing_in, substitution_for},
};

/// The answer to `client`; `None` if the name is not stored. A child that is not stored is an error
/// in the answer. Blocks.
pub(super) fn foretell(
    cache: &Cache,
    repository: &Repository,
    reference: &Reference,
    client: &Client<'_>,
) -> Result<Option<Served>, PullError> {
    let digest = match reference {
        Reference::Digest(digest) => Some(*digest),
        Reference::Tag(tag) => cache.tag(&repository.key, tag).map(|entry| entry.digest),
    };
    let Some(digest) = digest.filter(|digest| cache.is_confirmed(&repository.key, digest)) else {
        return Ok(None);
    };
    let Some(manifest) = cache.peek_manifest(&digest)? else {
        return Ok(None);
    };
    let mode = repository.upstream.config().resolve_of(&repository.name);
    let substitution = substitution_for(mode, repository, reference, &manifest, client);
    let child = match &substitution {
        None => Ok(None),
        Some(Substitution { platform, .. }) => {
            let child = child(cache, repository, &manifest, platform);
            for_client(child, platform, client)
        }
    };
    Ok(Some(Served {
        found: ManifestAnswer::new(manifest, Outcome::Hit),
        mode,
        substitution,
        child,
        holds_for: Duration::ZERO,
        tag_writes: None,
    }))
}

/// The stored child of `index` for `wanted`. An entry without a platform is taken at its word.
fn child(
    cache: &Cache,
    repository: &Repository,
    index: &Manifest,
    wanted: &Platform,
) -> Result<Option<Manifest>, PullError> {
    if index.is_index_of_artifacts() {
        return Ok(None);
    }
    let matcher = Matcher::new(wanted);
    let mut current = index.clone();
    for _ in 0..=MAX_INDEX_DEPTH {
        let entry = match current.choice(&matcher)? {
            Choice::Manifest(entry) | Choice::Unverified(entry) | Choice::Index(entry) => entry,
            Choice::None => return nothing_in(index, &current, wanted),
        };
        let manifest = cache.peek_manifest(&entry.digest)?;
        let manifest = manifest.ok_or_else(|| repository.not_here(Resource::Manifest))?;
        if !manifest.is_index() {
            return Ok(Some(manifest));
        }
        current = manifest;
    }
    Err(PullError::Unresolvable("its indexes are nested too deep"))
}
