//! What an answer to another replica says beside that to a client: how long ago the upstream said so.

use std::time::{Duration, SystemTime};

use cache::Cache;
use http::{HeaderMap, HeaderValue};
use manifest_model::Reference;
use pull::{PullError, Repository};
use replicas::ARCHWAY_AGE;

use super::context::Context;

/// The age of a tag's answer.
pub(super) fn about(
    cache: &Cache,
    context: &Context,
    repository: &Repository,
    reference: &Reference,
) -> HeaderMap {
    let Reference::Tag(tag) = reference else {
        return HeaderMap::new();
    };
    if context.replica.is_none() {
        return HeaderMap::new();
    }
    let row = cache.tag(repository.key(), tag);
    // A tag without a row was answered by a rule just now, or could not be recorded.
    let age = row.map_or(Duration::ZERO, |row| {
        let since = SystemTime::now().duration_since(row.confirmed);
        since.unwrap_or_default()
    });
    aged(age)
}

/// That the upstream itself has said "not found": no other 404 is an answer about it.
pub(super) fn about_absent(context: &Context, error: &PullError) -> HeaderMap {
    if context.replica.is_none() || !error.is_absent() {
        return HeaderMap::new();
    }
    aged(Duration::ZERO)
}

fn aged(age: Duration) -> HeaderMap {
    let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    HeaderMap::from_iter([(ARCHWAY_AGE, HeaderValue::from(millis))])
}
