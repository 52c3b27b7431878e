//! Lists from what is known here: the tags that clients have pulled, the stored referrers, and the
//! last list that the upstream gave. Of an offline upstream they have what is stored, and no more.

use std::collections::BTreeMap;

use bytes::Bytes;
use cache::{Cache, TagRow};
use manifest_model::{Digest, Manifest, Tag};
use serde_json::{Value, json};
use upstream::{ListingKind, Resource};

use super::{List, ListSource};
use crate::{
    PullError, Repository,
    attached::{Question, age_of},
};

/// The most tags on one page.
const MAX_TAGS: usize = 10_000;

/// The query of a list, as a client sent it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageQuery {
    /// What goes to the upstream, as it is.
    pub passed: Option<String>,
    /// `n`: the most entries.
    pub most: Option<usize>,
    /// `last`: the end of the page before.
    pub last: Option<String>,
    /// `artifactType`: the filter.
    pub artifact_type: Option<String>,
    /// Whether a cursor of the upstream is in it, which only the upstream understands.
    pub is_upstreams: bool,
}

impl PageQuery {
    /// Whether it asks for a list from its start.
    pub(super) fn is_first(&self) -> bool {
        self.last.is_none() && !self.is_upstreams
    }
}

/// What is known here.
#[derive(Debug)]
pub(super) struct Known {
    cache: Cache,
}

impl Known {
    pub(super) fn new(cache: Cache) -> Self {
        Self { cache }
    }

    /// Whether [`Self::page`] has an answer, as far as a look-up tells.
    pub(super) fn has(
        &self,
        repository: &Repository,
        kind: ListingKind,
        query: &PageQuery,
    ) -> bool {
        match kind {
            ListingKind::Tags => !query.is_upstreams && !self.tags(repository, "", 1).is_empty(),
            ListingKind::Referrers(subject) => {
                query.is_first() && self.last_list(repository, subject, query).is_some()
            }
        }
    }

    /// The page; `None` where nothing is known, or only the upstream can tell.
    pub(super) async fn page(
        &self,
        repository: &Repository,
        kind: ListingKind,
        query: &PageQuery,
    ) -> Option<Result<List, PullError>> {
        match kind {
            ListingKind::Tags => self.tag_page(repository, query).map(Ok),
            ListingKind::Referrers(subject) => self.referrers(repository, subject, query).await,
        }
    }

    /// The page of an offline upstream. A cursor of the upstream, from better days, means the start.
    pub(super) async fn stored(
        &self,
        repository: &Repository,
        kind: ListingKind,
        query: &PageQuery,
    ) -> Result<List, PullError> {
        let source = ListSource::Stored;
        match kind {
            ListingKind::Tags => {
                let query = PageQuery {
                    is_upstreams: false,
                    ..query.clone()
                };
                let list = self.tag_page(repository, &query);
                let list = list.ok_or_else(|| repository.not_here(Resource::Repository))?;
                Ok(List { source, ..list })
            }
            ListingKind::Referrers(subject) => {
                let filter = query.artifact_type.as_deref();
                let kept = self.last_list(repository, subject, query);
                let kept = kept.and_then(|kept| kept.body);
                let mut entries = self.entries(repository, subject, kept).await;
                let (cache, key) = (self.cache.clone(), repository.key.clone());
                // Blocking: a look for each file.
                let is_stored = move |digest: &str| {
                    let digest = digest.parse();
                    digest.is_ok_and(|digest| cache.is_readable(&key, &digest))
                };
                let looked = tokio::task::spawn_blocking(move || {
                    entries.0.retain(|digest, _| is_stored(digest));
                    entries
                });
                Ok(List {
                    body: looked.await.unwrap_or_default().into_index(filter),
                    next: None,
                    filters: filter.map(|_| "artifactType".to_owned()),
                    source,
                })
            }
        }
    }

    fn tag_page(&self, repository: &Repository, query: &PageQuery) -> Option<List> {
        if query.is_upstreams || self.tags(repository, "", 1).is_empty() {
            return None;
        }
        let most = query.most.unwrap_or(MAX_TAGS).min(MAX_TAGS);
        let last = query.last.as_deref().unwrap_or_default();
        let mut tags = self.tags(repository, last, most + 1);
        let is_more = most > 0 && tags.len() > most;
        tags.truncate(most);
        let end = tags.last().filter(|_| is_more);
        let next = end.map(|last| format!("last={last}&n={most}"));
        let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        let body = json!({ "name": repository.name.as_str(), "tags": tags });
        Some(List {
            body: Bytes::from(body.to_string()),
            next,
            filters: None,
            source: ListSource::Known(None),
        })
    }

    /// The tags of the repository behind `last`, in the order of their bytes.
    fn tags(&self, repository: &Repository, last: &str, limit: usize) -> Vec<Tag> {
        let after = format!("{}:{last}", repository.key);
        // An unreadable index knows none.
        let rows = self.cache.tags(Some(&after), limit).unwrap_or_default();
        let ours = |row: &TagRow| row.repository == repository.key;
        let ours = rows.into_iter().take_while(ours);
        ours.map(|row| row.tag).collect()
    }

    /// What the upstream last said: to just this, or of the whole list.
    fn last_list(
        &self,
        repository: &Repository,
        subject: Digest,
        query: &PageQuery,
    ) -> Option<cache::KeptAnswer> {
        let of =
            |filter| Question::of_referrers(subject, filter).last_answer(&self.cache, repository);
        let kind = query.artifact_type.as_deref();
        let filtered = kind.and_then(|kind| of(Some(kind)));
        filtered.or_else(|| of(None))
    }

    async fn referrers(
        &self,
        repository: &Repository,
        subject: Digest,
        query: &PageQuery,
    ) -> Option<Result<List, PullError>> {
        if !query.is_first() {
            return None;
        }
        let filter = query.artifact_type.as_deref();
        let kept = self.last_list(repository, subject, query);
        let age = kept.as_ref().map(age_of);
        let kept = match kept.map(|kept| kept.body) {
            // Clients go on to the tag then, as they did before.
            Some(None) => {
                let question = Question::of_referrers(subject, filter);
                return Some(Err(question.was_absent(repository, age.unwrap_or_default())));
            }
            kept => kept.flatten(),
        };
        let entries = self.entries(repository, subject, kept).await;
        if age.is_none() && entries.0.is_empty() {
            return None;
        }
        Some(Ok(List {
            body: entries.into_index(filter),
            next: None,
            filters: filter.map(|_| "artifactType".to_owned()),
            source: ListSource::Known(age),
        }))
    }

    /// The referrers of a subject: those of a list of the upstream, then those that are stored, then
    /// those of the list that is stored under its tag.
    async fn entries(
        &self,
        repository: &Repository,
        subject: Digest,
        kept: Option<Bytes>,
    ) -> Entries {
        let mut entries = Entries::default();
        if let Some(body) = kept {
            entries.add_index(&body);
        }
        // What cannot be read is not known.
        let stored = self.cache.referrers(&repository.key, &subject).await;
        for manifest in &stored.unwrap_or_default() {
            entries.add(manifest);
        }
        if let Some(index) = self.fallback(repository, &subject).await {
            entries.add_index(index.bytes());
        }
        entries
    }

    /// The list under the subject's tag of referrers, as registries without the API have it.
    async fn fallback(&self, repository: &Repository, subject: &Digest) -> Option<Manifest> {
        let tag = format!("{}-{}", subject.algorithm(), subject.hex());
        let entry = self.cache.tag(&repository.key, &tag.parse().ok()?)?;
        if !self.cache.is_confirmed(&repository.key, &entry.digest) {
            return None;
        }
        let manifest = self.cache.manifest(&entry.digest).await.ok()??;
        manifest.is_index().then_some(manifest)
    }
}

/// The descriptors of referrers, in the order of their digests.
#[derive(Debug, Default)]
struct Entries(BTreeMap<String, Value>);

impl Entries {
    /// The first descriptor of a digest stays: the upstream's goes before one that is made here.
    fn put(&mut self, entry: Value) {
        if let Some(digest) = entry["digest"].as_str() {
            self.0.entry(digest.to_owned()).or_insert(entry);
        }
    }

    fn add_index(&mut self, index: &[u8]) {
        let mut index: Value = serde_json::from_slice(index).unwrap_or_default();
        if let Some(Value::Array(entries)) = index.get_mut("manifests").map(Value::take) {
            for entry in entries {
                self.put(entry);
            }
        }
    }

    /// The descriptor that the specification gives a referrer.
    fn add(&mut self, manifest: &Manifest) {
        let config = manifest.config().map(|config| config.media_type.as_str());
        let artifact_type = manifest.artifact_type().or(config);
        let mut entry = json!({
            "mediaType": manifest.media_type().as_str(),
            "digest": manifest.digest().to_string(),
            "size": manifest.bytes().len(),
        });
        if let Some(artifact_type) = artifact_type {
            entry["artifactType"] = artifact_type.into();
        }
        let body: Value = serde_json::from_slice(manifest.bytes()).unwrap_or_default();
        if let Some(annotations @ Value::Object(_)) = body.get("annotations") {
            entry["annotations"] = annotations.clone();
        }
        self.put(entry);
    }

    fn into_index(self, artifact_type: Option<&str>) -> Bytes {
        let is_wanted = |entry: &Value| {
            artifact_type.is_none_or(|wanted| entry["artifactType"].as_str() == Some(wanted))
        };
        let entries: Vec<Value> = self.0.into_values().filter(is_wanted).collect();
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": entries,
        });
        Bytes::from(index.to_string())
    }
}
