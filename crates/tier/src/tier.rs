//! [`Tier`], the front: what a download, a manifest and a tag have to do with the bucket.

use std::{net::IpAddr, path::Path, sync::Arc, time::Duration};

use cache::{Cache, Follower};
use config::{SecretError, TierConfig};
use manifest_model::{Digest, Manifest, RepoKey, Tag};
use protocol::{error_chain::ErrorChain, host::Host};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error, warn};
use url::Url;

use crate::{
    bucket::{Bucket, Clients},
    download::TierBlob,
    error::TierError,
    inventory::{Inventory, short},
    keeper,
    mark::Key,
    metrics::TierMetrics,
    names::Names,
    news::News,
    pending::{Due, Pending},
    records::{Records, TagRecord},
    shared::Shared,
    tags::KnownTags,
    upload::{UploadError, UploadSource, Uploads},
};

/// How long a URL holds that a client is given.
const URL_LIFE: Duration = Duration::from_mins(15);

/// How long the end may wait for the last words to the bucket.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The bucket that replicas share. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct Tier {
    shared: Arc<Shared>,
}

/// Why there is no tier.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The key cannot be read.
    #[error("cannot read tier.key_file")]
    Key(#[from] SecretError),
    /// The settings fit together to no client.
    #[error("cannot use the bucket of the tier")]
    Bucket(#[from] TierError),
}

impl Tier {
    /// Reads what an earlier process has left. Blocks, and asks nobody: a bucket that is not there is
    /// no reason not to start. `other_key` is the file of the key where the section names none.
    pub fn open(
        config: &TierConfig,
        other_key: Option<&Path>,
        cache: &Cache,
        metrics: TierMetrics,
    ) -> Result<Self, StartError> {
        let key = Key::read(config.key_file.as_deref().or(other_key))?;
        let clients = Clients::open(config, &metrics)?;
        Ok(Self::over(clients, config, key, cache, metrics))
    }

    /// The same over these clients.
    pub(crate) fn over(
        clients: Clients,
        config: &TierConfig,
        key: Key,
        cache: &Cache,
        metrics: TierMetrics,
    ) -> Self {
        let names = Names::new(&config.url.prefix);
        let bucket = Bucket::new(clients, names, metrics.clone());
        let closing = CancellationToken::new();
        Self {
            shared: Arc::new(Shared {
                config: config.clone(),
                cache: cache.clone(),
                inventory: Arc::new(Inventory::new(metrics.clone())),
                records: Records::new(bucket.clone(), key.clone()),
                uploads: Uploads::new(bucket.clone(), closing.clone()),
                pending: Pending::open(cache.folder(), metrics.clone()),
                news: News::new(),
                tags: KnownTags::default(),
                tasks: TaskTracker::new(),
                closing,
                bucket,
                key,
                metrics,
            }),
        }
    }

    /// The blob in the bucket, if it is there as far as it is known, and the bucket is well. In memory: asks
    /// nobody.
    pub fn source(&self, host: &Host, digest: &Digest) -> Option<TierBlob> {
        let shared = &self.shared;
        // As long as nothing is known, anything may be there.
        let may_be = shared.inventory.has(digest) || shared.inventory.as_of().is_none();
        let is_asked = may_be && shared.bucket.is_readable();
        is_asked.then(|| self.blob(host, digest))
    }

    /// The blob in the bucket, whether it is known to be there or not: for who has no other place.
    pub fn last_resort(&self, host: &Host, digest: &Digest) -> Option<TierBlob> {
        let is_readable = self.shared.bucket.is_readable();
        is_readable.then(|| self.blob(host, digest))
    }

    fn blob(&self, host: &Host, digest: &Digest) -> TierBlob {
        let shared = &self.shared;
        TierBlob {
            bucket: shared.bucket.clone(),
            inventory: Arc::clone(&shared.inventory),
            key: shared.key.clone(),
            digest: *digest,
            host: host.clone(),
            sender: Arc::default(),
        }
    }

    /// The bytes of a download were not those of its digest. If the bucket has other ones too, they are
    /// deleted there; until that is known it does not have the blob.
    pub fn doubt(&self, digest: &Digest) {
        let (shared, digest) = (Arc::clone(&self.shared), *digest);
        // As long as nothing is known, it may be there, and was asked for there.
        if !shared.inventory.has(&digest) && shared.inventory.as_of().is_some() {
            return;
        }
        shared.inventory.forget(&digest);
        self.shared.tasks.spawn(async move {
            match shared.bucket.hashed(&digest).await {
                Ok(found) if found == digest => shared.inventory.add(short(&digest)),
                Ok(found) => {
                    // A list that was read meanwhile may have it again.
                    shared.inventory.forget(&digest);
                    shared.metrics.was_wrong();
                    error!(%digest, %found, "a blob in the bucket of the tier has other bytes than its digest says; deleting it there");
                    let path = shared.bucket.names().blob(&digest);
                    if let Err(error) = shared.bucket.delete(vec![path]).await {
                        warn!(%error, %digest, "a wrong blob in the bucket could not be deleted");
                    }
                }
                Err(error) => debug!(%error, %digest, "a doubtful blob in the bucket could not be read"),
            }
        });
    }

    /// A download of a blob of `repository` has begun, from its upstream: sends what arrives to the
    /// bucket, if that does not have it.
    pub fn filling(&self, repository: &RepoKey, follower: Follower) {
        let shared = &self.shared;
        let digest = follower.digest();
        if shared.inventory.has(&digest) {
            return;
        }
        let due = Due::Blob(digest, repository.upstream().to_owned());
        let is_begun = shared.bucket.writes().is_closed();
        shared.pending.add(due.clone(), is_begun);
        if !is_begun {
            return;
        }
        let (shared, follower) = (Arc::clone(shared), follower.looking_on());
        self.shared.tasks.spawn(async move {
            let noted = shared.key.sent_by(upstream_of(&due), &digest);
            let source = UploadSource::Arriving(follower);
            let sent = shared.uploads.send(&digest, source, noted);
            let sent = shared.closing.run_until_cancelled(sent).await;
            match sent {
                Some(Ok(())) => {
                    keeper::uploaded(&shared, &digest);
                    shared.pending.done(&due);
                }
                Some(Err(UploadError::Source(_))) => shared.pending.done(&due),
                Some(Err(error)) => {
                    debug!(error = %ErrorChain(&error), %digest, "a blob did not get into the bucket; it will be sent later");
                    shared.pending.put_back(&due);
                }
                None => shared.pending.put_back(&due),
            }
        });
    }

    /// A manifest of `repository` was stored, under `tag` too where there is one.
    pub fn stored_manifest(&self, repository: &RepoKey, digest: &Digest, tag: Option<&Tag>) {
        let shared = &self.shared;
        if shared.tags.is_manifest_due(repository, digest) {
            let due = Due::Manifest(repository.clone(), *digest);
            shared.pending.add(due, false);
        }
        if let Some(tag) = tag {
            self.confirmed_tag(repository, tag, digest);
        }
    }

    /// An upstream has just said that `tag` points at `digest`.
    pub fn confirmed_tag(&self, repository: &RepoKey, tag: &Tag, digest: &Digest) {
        let shared = &self.shared;
        if shared.tags.is_due(repository, tag, digest) {
            let due = Due::Tag(repository.clone(), tag.clone());
            shared.pending.add(due, false);
        }
    }

    /// Where a tag pointed, for who has lost its upstream.
    pub async fn tag(&self, repository: &RepoKey, tag: &Tag) -> Option<TagRecord> {
        self.shared.records.tag(repository, tag).await
    }

    /// A manifest of a repository, for who has lost its upstream.
    pub async fn manifest(&self, repository: &RepoKey, digest: &Digest) -> Option<Manifest> {
        self.shared.records.manifest(repository, digest).await
    }

    /// A manifest of a repository that names `blob`, for who has lost its upstream.
    pub async fn manifest_naming(&self, repository: &RepoKey, blob: &Digest) -> Option<Manifest> {
        self.shared.records.manifest_naming(repository, blob).await
    }

    /// The URL to send a client to for a blob of this size; `None` where it is to be served here.
    pub async fn redirect(&self, digest: &Digest, size: u64, client: IpAddr) -> Option<Url> {
        let shared = &self.shared;
        let config = &shared.config;
        let is_large = config.redirect.is_some_and(|from| size >= from);
        if !is_large || !shared.bucket.is_readable() || !shared.inventory.has(digest) {
            return None;
        }
        let networks = &config.redirect_networks;
        let is_chosen = networks.is_empty()
            || networks
                .iter()
                .any(|network| network.contains(&client.to_canonical()));
        if !is_chosen {
            return None;
        }
        let path = shared.bucket.names().blob(digest);
        shared.bucket.signed(&path, URL_LIFE).await
    }

    /// Keeps the inventory, writes what is due, and cleans up, for as long as it is polled.
    pub async fn run(self) {
        keeper::run(&self.shared).await;
    }

    /// Gives running uploads `grace` to end; the rest is sent after the next start.
    pub async fn drain(&self, grace: Duration) {
        let shared = &self.shared;
        shared.tasks.close();
        if timeout(grace, shared.tasks.wait()).await.is_err() {
            shared.closing.cancel();
            let _ = timeout(LAST_WORDS, shared.tasks.wait()).await;
        }
        if shared.bucket.writes().is_closed() {
            let _ = timeout(LAST_WORDS, shared.news.tell(&shared.bucket)).await;
        }
        let shared = Arc::clone(shared);
        let saved = tokio::task::spawn_blocking(move || shared.pending.save());
        let _ = saved.await;
    }
}

fn upstream_of(due: &Due) -> &str {
    match due {
        Due::Blob(_, upstream) => upstream,
        Due::Manifest(repository, _) | Due::Tag(repository, _) => repository.upstream(),
    }
}

#[cfg(test)]
mod tests;
