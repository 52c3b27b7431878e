//! What an answer to another replica says beside that to a client: how long ago the upstream said so.

use std::time::{Duration, SystemTime};

use cache::Cache;
use http::{HeaderMap, HeaderValue};
use manifest_model::Reference;
use pull::{PullError, Repository, Served};
use replicas::ARCHWAY_AGE;

use super::context::Context;

/// The age of a tag's answer.
pub(super) fn about(
    cache: &Cache,
    context: &Context,
    repository: &Repository,
    (reference, served): (&Reference, &Served),
) -> HeaderMap {
    let Reference::Tag(tag) = reference else {
        return HeaderMap::new();
    };
    if context.replica.is_none() {
        return HeaderMap::new();
    }
    let row_age = || {
        let row = cache.tag(repository.key(), tag)?;
        SystemTime::now().duration_since(row.confirmed).ok()
    };
    // What could not be confirmed says its own age: a copy in the bucket has no row here. A tag without
    // a row was else answered by a rule just now, or could not be recorded.
    aged(served.age().or_else(row_age).unwrap_or_default())
}

/// That the upstream itself has said "not found", and how long ago it may have been: no other 404 is an
/// answer about it.
pub(super) fn about_absent(
    context: &Context,
    repository: &Repository,
    error: &PullError,
) -> HeaderMap {
    if context.replica.is_none() || !error.is_absent() {
        return HeaderMap::new();
    }
    aged(repository.absent_for())
}

fn aged(age: Duration) -> HeaderMap {
    let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    HeaderMap::from_iter([(ARCHWAY_AGE, HeaderValue::from(millis))])
}
