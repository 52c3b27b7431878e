//! The work of the tier that nobody waits for: the inventory, what is due, news, uses, the janitor.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use cache::Cache;
use manifest_model::{Digest, RepoKey, Tag};
use protocol::error_chain::ErrorChain;
use tokio::{
    task::JoinSet,
    time::{interval, interval_at, sleep, timeout},
};
use tracing::{debug, info, warn};

use crate::{
    clean::clean,
    error::TierError,
    inventory::{MAX_BYTES, decode, short},
    pending::Due,
    records::TagRecord,
    shared::Shared,
    upload::{UploadError, UploadSource},
    uses::{self, LOG_INTERVAL},
};

/// How often what is due is tried, how much of it at once, and how often the list of it is saved.
const WRITE_INTERVAL: Duration = Duration::from_secs(5);
const WRITES_AT_ONCE: usize = 8;
const SAVE_INTERVAL: Duration = Duration::from_secs(2);

/// How often a bucket in trouble is looked at.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// How often news are told and heard, and the inventory is read again.
const NEWS_INTERVAL: Duration = Duration::from_mins(1);
const INVENTORY_INTERVAL: Duration = Duration::from_hours(1);

/// How soon the first inventory is asked for again: until then a bucket is of no use.
const FIRST_INVENTORY: Duration = Duration::from_secs(10);

/// How old the inventory may be before a replica makes a new one.
const INVENTORY_AGE: Duration = Duration::from_hours(24);

/// What the replicas wait beyond that, each another time: one of them is enough.
const INVENTORY_JITTER_SECONDS: u64 = 3600;

/// How long any of this may take.
const ROUND_TIMEOUT: Duration = Duration::from_mins(10);

/// How long after the start the first uses are written, and what they cover.
const FIRST_USES: Duration = Duration::from_mins(5);

/// Runs all of it for as long as it is polled.
pub(crate) async fn run(shared: &Arc<Shared>) {
    tokio::join!(
        keep_inventory(shared),
        write_due(shared),
        save(shared),
        probe(shared),
        log_uses(shared),
    );
}

/// A blob is in the bucket now: this replica knows it, and the others will.
pub(crate) fn uploaded(shared: &Shared, digest: &Digest) {
    let short = short(digest);
    shared.inventory.add(short);
    shared.news.add(short);
}

async fn keep_inventory(shared: &Shared) {
    let jitter = Duration::from_secs(fastrand::u64(..INVENTORY_JITTER_SECONDS));
    let mut news = interval(NEWS_INTERVAL);
    let mut read = interval(INVENTORY_INTERVAL);
    loop {
        let is_reading = tokio::select! {
            _ = read.tick() => true,
            _ = news.tick() => shared.inventory.as_of().is_none(),
            () = sleep(FIRST_INVENTORY), if shared.inventory.as_of().is_none() => true,
        };
        if is_reading {
            bounded("reading the inventory", read_inventory(shared, jitter)).await;
        }
        bounded("exchanging news", exchange_news(shared)).await;
    }
}

async fn bounded(what: &'static str, work: impl Future<Output = Result<(), TierError>>) {
    match timeout(ROUND_TIMEOUT, work).await {
        Ok(Ok(()) | Err(TierError::LeftAlone)) => {}
        // The breaker has told what is worth telling.
        Ok(Err(error)) => debug!(%error, what, "work on the tier has failed; it is tried again"),
        Err(_) => debug!(what, "work on the tier took too long; it is tried again"),
    }
}

/// Takes the inventory of the bucket, and makes a new one where there is none, or an old one.
pub(crate) async fn read_inventory(shared: &Shared, jitter: Duration) -> Result<(), TierError> {
    let path = shared.bucket.names().at("inventory");
    let read = shared.bucket.fetch(&path, MAX_BYTES).await;
    let read = match read {
        Ok(bytes) => decode(&bytes),
        Err(TierError::Absent) => None,
        Err(error) => return Err(error),
    };
    let now = SystemTime::now();
    let age = |as_of: SystemTime| now.duration_since(as_of).unwrap_or_default();
    let is_old = match read {
        Some((listed, as_of)) => {
            if shared.inventory.as_of().is_none_or(|ours| ours < as_of) {
                shared.inventory.replace(listed, as_of, age(as_of));
            }
            age(as_of) >= INVENTORY_AGE + jitter
        }
        None => true,
    };
    if is_old {
        let pass = clean(&shared.bucket, shared.config.max_size, &shared.metrics).await?;
        info!(cleaned = ?pass.cleaned, "the tier was listed");
        let as_of = pass.as_of;
        shared.inventory.replace(pass.left, as_of, age(as_of));
    }
    Ok(())
}

pub(crate) async fn exchange_news(shared: &Shared) -> Result<(), TierError> {
    if shared.bucket.writes().is_closed() {
        shared.news.tell(&shared.bucket).await?;
    }
    let Some(as_of) = shared.inventory.as_of() else {
        return Ok(());
    };
    if !shared.bucket.is_readable() {
        return Ok(());
    }
    let (bucket, inventory) = (&shared.bucket, &shared.inventory);
    shared.news.hear(bucket, inventory, as_of).await
}

/// Looks at a bucket that is in trouble, so that no client has to.
async fn probe(shared: &Shared) {
    let path = shared.bucket.names().at("probe");
    loop {
        sleep(PROBE_INTERVAL).await;
        if !shared.bucket.is_readable() {
            // What it says opens or closes the breaker.
            let _ = shared.bucket.fetch(&path, 1024).await;
        }
    }
}

async fn save(shared: &Arc<Shared>) {
    let mut save = interval(SAVE_INTERVAL);
    loop {
        save.tick().await;
        let shared = Arc::clone(shared);
        let _ = tokio::task::spawn_blocking(move || shared.pending.save()).await;
    }
}

/// Writes what waits, a few at once, while the bucket takes it.
async fn write_due(shared: &Arc<Shared>) {
    let mut again = interval(WRITE_INTERVAL);
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            _ = again.tick() => {}
            () = shared.pending.added() => {}
            // What was not written now is tried again at the next tick.
            Some(is_done) = under_way.join_next() => if !matches!(is_done, Ok(true)) {
                continue;
            },
        }
        let free = WRITES_AT_ONCE.saturating_sub(under_way.len());
        // In trouble, one of them asks whether it is over.
        let limit = if shared.bucket.writes().is_closed() {
            free
        } else {
            usize::from(free > 0 && shared.bucket.writes().may_try())
        };
        for due in shared.pending.take(limit) {
            let shared = Arc::clone(shared);
            under_way.spawn(async move { write(&shared, due).await });
        }
    }
}

/// Writes one thing; whether it needs no other try.
pub(crate) async fn write(shared: &Shared, due: Due) -> bool {
    let written = match &due {
        Due::Blob(digest, upstream) => write_blob(shared, digest, upstream).await,
        Due::Manifest(repository, digest) => write_manifest(shared, repository, digest).await,
        Due::Tag(repository, tag) => write_tag(shared, repository, tag).await,
    };
    let is_done = match written {
        Ok(Outcome::Done) => true,
        Ok(Outcome::Later) => false,
        Err(UploadError::Tier(error)) => {
            debug!(%error, %due, "the bucket did not take something; it is tried again");
            false
        }
        Err(error) => {
            warn!(error = %ErrorChain(&error), %due, "something will not get into the bucket");
            true
        }
    };
    if is_done {
        shared.pending.done(&due);
    } else {
        shared.pending.put_back(&due);
    }
    is_done
}

enum Outcome {
    /// It is there, or there is nothing to write any more.
    Done,
    /// It is still arriving.
    Later,
}

async fn write_blob(
    shared: &Shared,
    digest: &Digest,
    upstream: &str,
) -> Result<Outcome, UploadError> {
    if shared.inventory.has(digest) {
        return Ok(Outcome::Done);
    }
    if shared.cache.follow(digest).is_some() {
        return Ok(Outcome::Later);
    }
    let Ok(Some(blob)) = shared.cache.peek(digest) else {
        return Ok(Outcome::Done);
    };
    let noted = shared.key.sent_by(upstream, digest);
    let source = UploadSource::Stored(blob);
    shared.uploads.send(digest, source, noted).await?;
    uploaded(shared, digest);
    Ok(Outcome::Done)
}

async fn write_manifest(
    shared: &Shared,
    repository: &RepoKey,
    digest: &Digest,
) -> Result<Outcome, UploadError> {
    let (cache, wanted) = (shared.cache.clone(), *digest);
    let read = tokio::task::spawn_blocking(move || Cache::peek_manifest(&cache, &wanted)).await;
    let Ok(Ok(Some(manifest))) = read else {
        return Ok(Outcome::Done);
    };
    if !shared.inventory.has(digest) {
        let noted = shared.key.sent_by(repository.upstream(), digest);
        let bytes = vec![manifest.bytes().clone()];
        shared.uploads.send_whole(digest, bytes, noted).await?;
        uploaded(shared, digest);
    }
    shared.records.write_manifest(repository, &manifest).await?;
    Ok(Outcome::Done)
}

async fn write_tag(
    shared: &Shared,
    repository: &RepoKey,
    tag: &Tag,
) -> Result<Outcome, UploadError> {
    let mut written = None;
    // It may move while its record is on its way: then another write of it may have ended before this one.
    while let Some(entry) = shared.cache.tag(repository, tag)
        && written != Some(entry.digest)
    {
        let record = TagRecord {
            digest: entry.digest,
            confirmed: entry.confirmed,
        };
        shared.records.write_tag(repository, tag, record).await?;
        written = Some(entry.digest);
    }
    Ok(Outcome::Done)
}

/// Writes once an hour what was used in it.
async fn log_uses(shared: &Shared) {
    let first = tokio::time::Instant::now() + FIRST_USES;
    let mut due = interval_at(first, LOG_INTERVAL);
    let mut since = SystemTime::now().checked_sub(LOG_INTERVAL);
    loop {
        due.tick().await;
        let now = SystemTime::now();
        let cache = shared.cache.clone();
        let from = since.unwrap_or(SystemTime::UNIX_EPOCH);
        let Ok(used) = cache.used_since(from).await else {
            continue;
        };
        let used = used.iter().map(short);
        let used: Vec<u64> = used.collect();
        let logged = uses::log(&shared.bucket, &used, shared.news.id());
        if shared.bucket.writes().is_closed() && logged.await.is_ok() {
            since = Some(now);
        }
    }
}
