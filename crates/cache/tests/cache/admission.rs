//! What was used again stays, whatever else comes by: cold blobs, lies about lengths, large manifests.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use cache::{Cache, FillError, Joined, RepoKey};
use manifest_model::{Algorithm, Digest, Manifest};
use tempfile::TempDir;

use crate::support::{body, digest, lead, open, store, write};

const KIB: usize = 1024;

/// The size of the blobs of a trace, and how many of them a cache holds.
const SMALL: usize = 4 * KIB;
const HELD: usize = 40;

/// A blob of a trace, of which every number is another.
fn blob(number: usize) -> Bytes {
    let mut bytes = body(SMALL).to_vec();
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes.into()
}

/// Asks for a blob as clients do: read if it is stored, brought if not. Whether it was a hit.
async fn ask(cache: &Cache, bytes: &Bytes) -> bool {
    match cache.join(&digest(bytes)).unwrap() {
        Joined::Stored(_) => true,
        Joined::Leading(mut fill, _) => {
            fill.start(Some(bytes.len() as u64)).await.unwrap();
            write(&fill, 0, bytes).await;
            fill.commit().await.unwrap();
            false
        }
        Joined::Following(_) => panic!("nobody else asks"),
    }
}

/// The requests of a day, by number of the blob: half a cache of blobs that are asked for again and
/// again, a few that come and are asked for some times, and, if so, a scan over blobs of two caches
/// in one go.
fn trace(scan: bool) -> Vec<usize> {
    let mut trace = Vec::new();
    for round in 0..12 {
        trace.extend(0..HELD / 2);
        trace.extend((0..4).flat_map(|new| [1000 + 4 * round + new; 3]));
        if scan && round == 6 {
            trace.extend(5000..5000 + 2 * HELD);
        }
    }
    trace
}

/// Hits among the requests of a trace for the blobs asked for again and again, but their first ones.
fn hot_ratio(trace: &[usize], hits: &[bool]) -> f64 {
    let hot = trace
        .iter()
        .zip(hits)
        .filter(|(number, _)| **number < HELD / 2);
    let hits: Vec<bool> = hot.skip(HELD / 2).map(|(_, hit)| *hit).collect();
    let good = hits.iter().filter(|hit| **hit).count();
    f64::from(u32::try_from(good).unwrap()) / f64::from(u32::try_from(hits.len()).unwrap())
}

/// The hits of a cache that knows only the last use.
fn hits_of_lru(trace: &[usize]) -> Vec<bool> {
    let mut held: Vec<usize> = Vec::new();
    let ask = |number: &usize| {
        let before = held.iter().position(|other| other == number);
        let hit = before.map(|at| held.remove(at)).is_some();
        held.push(*number);
        if held.len() > HELD {
            held.remove(0);
        }
        hit
    };
    trace.iter().map(ask).collect()
}

/// The figures are in docs/hardening.md.
#[tokio::test]
async fn one_pass_of_cold_blobs_puts_out_nothing_that_was_used_again() {
    for (scan, least) in [(false, 0.99), (true, 0.95)] {
        let folder = TempDir::new().unwrap();
        let cache = open(&folder, (HELD * SMALL) as u64);
        let trace = trace(scan);
        let mut hits = Vec::new();
        for number in &trace {
            hits.push(ask(&cache, &blob(*number)).await);
        }
        let (ours, lru) = (
            hot_ratio(&trace, &hits),
            hot_ratio(&trace, &hits_of_lru(&trace)),
        );
        println!("scan: {scan}: {ours:.3} of the hot requests hit, {lru:.3} with LRU alone");
        assert!(
            ours >= least && ours >= lru,
            "{ours} {lru} with a scan: {scan}"
        );
    }
}

/// A cache of 4 MiB with a hot half, and its digests.
async fn hot() -> (TempDir, Cache, HashSet<Digest>) {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, 4096 * KIB as u64);
    let mut hot = HashSet::new();
    for number in 0..20 {
        let mut bytes = body(100 * KIB).to_vec();
        bytes[0] = number;
        let digest = store(&cache, &bytes.into()).await;
        for _ in 0..2 {
            assert!(cache.stored(&digest).unwrap().is_some());
        }
        hot.insert(digest);
    }
    (folder, cache, hot)
}

fn all_stored(cache: &Cache, digests: &HashSet<Digest>) -> bool {
    let mut digests = digests.iter();
    digests.all(|digest| cache.peek_size(digest).unwrap().is_some())
}

#[tokio::test]
async fn a_false_length_evicts_nothing() {
    let (_folder, cache, hot) = hot().await;
    let (mut fill, _first) = lead(&cache, &digest(b"never comes"));
    let _second = cache.follow(&digest(b"never comes")).unwrap();
    fill.start(Some(4000 * KIB as u64)).await.unwrap();
    write(&fill, 0, &body(KIB)).await;
    fill.commit().await.unwrap_err();
    assert!(all_stored(&cache, &hot));
}

#[tokio::test]
async fn a_body_of_unknown_length_takes_free_room_and_what_nobody_used_again() {
    let (_folder, cache, hot) = hot().await;
    let cold = store(&cache, &body(1000 * KIB)).await;
    let (mut fill, _) = lead(&cache, &digest(b"endless"));
    fill.start(None).await.unwrap();
    let (writer, piece) = (fill.writer(), body(64 * KIB));
    let mut at = 0;
    while at < 200
        && writer
            .write((at * 64 * KIB) as u64, piece.clone())
            .await
            .is_ok()
    {
        at += 1;
    }
    drop(writer);
    fill.commit().await.unwrap_err();
    assert!(cache.peek_size(&cold).unwrap().is_none());
    assert!(all_stored(&cache, &hot));
}

#[tokio::test]
async fn what_is_used_again_leaves_a_fifth_to_what_comes() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, 1000 * KIB as u64);
    for number in 0..40 {
        let mut bytes = body(50 * KIB).to_vec();
        bytes[0] = number;
        let digest = store(&cache, &bytes.into()).await;
        assert!(cache.stored(&digest).unwrap().is_some());
    }
    // A new one stays while three others come: it has the time to be used again.
    let new = store(&cache, &body(51 * KIB)).await;
    for size in [52, 53] {
        store(&cache, &body(size * KIB)).await;
    }
    assert!(cache.peek_size(&new).unwrap().is_some());
}

fn index_of(size: usize, number: usize) -> Manifest {
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{{"{number}":"{}"}}}}"#,
        "x".repeat(size)
    );
    Manifest::parse(text.into(), None, Algorithm::Sha256).unwrap()
}

#[tokio::test]
async fn manifests_outlive_blobs_only_while_they_are_small_and_few() {
    let (_folder, cache, hot) = hot().await;
    let repo = RepoKey::new("registry.example", &"app".parse().unwrap());
    let mut first = None;
    for (size, count) in [(300 * KIB, 16), (40 * KIB, 80)] {
        for number in 0..count {
            let index = index_of(size, number);
            cache.store_manifest(&repo, &index, None).await.unwrap();
            first.get_or_insert(index.digest());
        }
    }
    assert!(
        all_stored(&cache, &hot),
        "large manifests nobody asks for again"
    );
    assert!(cache.peek_size(&first.unwrap()).unwrap().is_none());
    let few = index_of(KIB, 0);
    cache.store_manifest(&repo, &few, None).await.unwrap();
    for number in 0..40 {
        let mut bytes = body(90 * KIB).to_vec();
        bytes[0] = number;
        store(&cache, &bytes.into()).await;
    }
    assert!(cache.peek_size(&few.digest()).unwrap().is_some());
}

/// Brings a blob that nobody has asked for besides; the error if the cache sends it past itself.
async fn bring(cache: &Cache, bytes: &Bytes) -> Result<(), Arc<FillError>> {
    let (mut fill, _client) = lead(cache, &digest(bytes));
    fill.start(Some(bytes.len() as u64)).await?;
    write(&fill, 0, bytes).await;
    fill.commit().await
}

#[tokio::test]
async fn a_blob_of_nearly_the_cache_s_size_is_stored_at_its_second_request() {
    let (_folder, cache, hot) = hot().await;
    let large = body(3500 * KIB);
    let error = bring(&cache, &large).await.unwrap_err();
    assert!(error.is_sent_past(), "{error}");
    assert!(all_stored(&cache, &hot), "what is used again");
    bring(&cache, &large).await.unwrap();
    assert!(cache.peek_size(&digest(&large)).unwrap().is_some());
}

#[tokio::test]
async fn a_large_blob_for_which_several_wait_is_stored_at_once() {
    let (_folder, cache, _hot) = hot().await;
    let large = body(3500 * KIB);
    let (mut fill, _first) = lead(&cache, &digest(&large));
    let _second = cache.follow(&digest(&large)).unwrap();
    fill.start(Some(large.len() as u64)).await.unwrap();
    write(&fill, 0, &large).await;
    fill.commit().await.unwrap();
}

#[tokio::test]
async fn a_large_blob_is_stored_at_once_where_it_puts_out_nothing_used_again() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, 4096 * KIB as u64);
    let cold = store(&cache, &body(1000 * KIB)).await;
    bring(&cache, &body(3500 * KIB)).await.unwrap();
    assert!(cache.peek_size(&cold).unwrap().is_none());
}
