//! What a client would be answered, from what is stored alone: nobody is asked, and nothing is used,
//! kept or changed by it.

use cache::Cache;
use manifest_model::{Choice, MAX_INDEX_DEPTH, Manifest, Matcher, Platform, Reference, offered};
use upstream::Resource;

use crate::{
    Outcome, PullError, Repository,
    answer::{Client, ManifestAnswer, Served},
    platforms::choose_substitution,
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
    let config = repository.upstream.config();
    let mode = config.resolve_of(&repository.name);
    let substitution = match reference {
        Reference::Tag(tag) if manifest.is_index() && !tag.is_of_referrers() => {
            let default = config.platform_of(&repository.name);
            let default = default.unwrap_or(client.default_platform);
            choose_substitution(mode, client.hint, client.takes_index, default)
        }
        _ => None,
    };
    let child = match &substitution {
        None => Ok(None),
        Some(chosen) => child(cache, repository, &manifest, &chosen.platform),
    };
    Ok(Some(Served {
        found: ManifestAnswer::new(manifest, Outcome::Hit),
        mode,
        substitution,
        child,
        holds_for: std::time::Duration::ZERO,
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
            Choice::None => {
                let offered = offered(index.entries());
                let wanted = wanted.clone();
                return Err(PullError::NothingFits { wanted, offered });
            }
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
