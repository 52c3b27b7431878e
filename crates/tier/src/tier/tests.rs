use std::sync::Arc;

use cache::{Cache, FillError, Joined, Options};
use config::Config;
use futures_util::TryStreamExt;
use manifest_model::{Algorithm, Manifest};
use tempfile::TempDir;
use upstream::Part;

use super::*;

/// More than one part.
const LARGE: usize = 40 << 20;

struct Bench {
    tier: Tier,
    cache: Cache,
    clients: Clients,
    _folder: TempDir,
}

fn bench() -> Bench {
    bench_over(Clients::in_memory())
}

fn bench_over(clients: Clients) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&Options {
        path: folder.path().to_owned(),
        max_size: 1 << 30,
        low_water: 1 << 30,
        min_free: 0,
        anew: false,
        max_open_files: 16,
    })
    .unwrap();
    let config = Config::parse("tier.toml", "[tier]\nurl = \"s3://cache/archway\"").unwrap();
    let config = config.tier.unwrap();
    let metrics = TierMetrics::default();
    let tier = Tier::over(clients.clone(), &config, Key::default(), &cache, metrics);
    Bench {
        tier,
        cache,
        clients,
        _folder: folder,
    }
}

fn content(size: usize) -> Vec<u8> {
    (0..size)
        .map(|at| (at / 7 % 251).to_le_bytes()[0])
        .collect()
}

fn repository() -> RepoKey {
    "registry.test/team/app".parse().unwrap()
}

impl Bench {
    /// Downloads `bytes` as the blob `digest`, with a copy for the bucket.
    async fn download(&self, digest: Digest, bytes: &[u8]) -> Result<(), Arc<FillError>> {
        let Joined::Leading(mut fill, _follower) = self.cache.join(&digest).unwrap() else {
            panic!("it is not stored");
        };
        fill.start(Some(bytes.len() as u64)).await?;
        let copy = self.cache.follow(&digest).unwrap();
        self.tier.filling(&repository(), copy);
        let writer = fill.writer();
        let mut position = 0;
        for piece in bytes.chunks(1 << 20) {
            let piece = piece.to_vec().into();
            if writer.write(position, piece).await.is_err() {
                break;
            }
            position += 1 << 20;
        }
        drop(writer);
        fill.commit().await
    }

    /// Waits until every upload has ended.
    async fn settle(&self) {
        self.tier.shared.tasks.close();
        self.tier.shared.tasks.wait().await;
        self.tier.shared.tasks.reopen();
    }

    async fn read(&self, digest: &Digest, part: Part) -> Option<Vec<u8>> {
        let host = "registry.test".parse().unwrap();
        let blob = self.tier.source(&host, digest)?;
        let body = blob.get(part).await.ok()?;
        let pieces: Vec<_> = body.bytes.try_collect().await.unwrap();
        assert!(blob.is_of_upstream());
        Some(pieces.concat())
    }
}

#[tokio::test]
async fn what_is_downloaded_is_in_the_bucket_once_its_digest_has_matched() {
    for size in [1000, LARGE] {
        let (bench, bytes) = (bench(), content(size));
        let digest = Digest::of(Algorithm::Sha256, &bytes);
        bench.download(digest, &bytes).await.unwrap();
        bench.settle().await;
        assert!(bench.tier.shared.inventory.has(&digest));
        let read = bench.read(&digest, Part::Whole).await;
        assert!(read.is_some_and(|read| read == bytes));
        let end = size as u64 / 2;
        let part = bench.read(&digest, Part::Bytes(10, Some(end))).await;
        assert!(part.is_some_and(|part| part == bytes[10..size / 2]));
        assert_eq!(bench.tier.shared.pending.take(10), []);
    }
}

#[tokio::test]
async fn wrong_bytes_do_not_get_into_the_bucket() {
    let (bench, bytes) = (bench(), content(LARGE));
    let digest = Digest::of(Algorithm::Sha256, b"other bytes");
    bench.download(digest, &bytes).await.unwrap_err();
    bench.settle().await;
    assert!(!bench.tier.shared.inventory.has(&digest));
    let path = bench.tier.shared.bucket.names().blob(&digest);
    let there = bench.tier.shared.bucket.read(&path, 0..1).await;
    assert_eq!(there.err(), Some(TierError::Absent));
    assert_eq!(bench.tier.shared.pending.take(10), []);
}

#[tokio::test]
async fn an_object_with_other_bytes_is_deleted_when_it_is_doubted_and_a_right_one_stays() {
    let (bench, bytes) = (bench(), content(1000));
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    bench.download(digest, &bytes).await.unwrap();
    bench.settle().await;
    bench.tier.doubt(&digest);
    bench.settle().await;
    assert!(bench.tier.shared.inventory.has(&digest));

    let path = bench.tier.shared.bucket.names().blob(&digest);
    let wrong = object_store::PutPayload::from_static(b"wrong");
    let noted = object_store::Attributes::new();
    let bucket = &bench.tier.shared.bucket;
    bucket.write(&path, wrong, noted).await.unwrap();
    bench.tier.doubt(&digest);
    bench.settle().await;
    assert!(!bench.tier.shared.inventory.has(&digest));
    let there = bucket.read(&path, 0..1).await;
    assert_eq!(there.err(), Some(TierError::Absent));
}

#[tokio::test]
async fn a_manifest_and_its_tag_are_found_by_another_archway() {
    let first = bench();
    let text = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let manifest = Manifest::parse(text.into(), None, Algorithm::Sha256).unwrap();
    let (repository, tag): (_, Tag) = (repository(), "latest".parse().unwrap());
    let digest = manifest.digest();
    first
        .cache
        .store_manifest(&repository, &manifest, Some(&tag))
        .await
        .unwrap();
    first.tier.stored_manifest(&repository, &digest, Some(&tag));
    let due = first.tier.shared.pending.take(10);
    assert_eq!(due.len(), 2, "{due:?}");
    for one in due {
        assert!(keeper::write(&first.tier.shared, one).await);
    }
    first.tier.stored_manifest(&repository, &digest, Some(&tag));
    assert_eq!(first.tier.shared.pending.take(10), [], "once is enough");

    let second = bench_over(first.clients.clone());
    let record = second.tier.tag(&repository, &tag).await.unwrap();
    assert_eq!(record.digest, digest);
    let found = second.tier.manifest(&repository, &digest).await.unwrap();
    assert_eq!(found.bytes(), manifest.bytes());
    let other = "registry.test/team/other".parse().unwrap();
    assert!(second.tier.manifest(&other, &digest).await.is_none());
}

#[tokio::test]
async fn the_janitor_writes_an_inventory_that_others_read() {
    let (first, bytes) = (bench(), content(1000));
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    first.download(digest, &bytes).await.unwrap();
    first.settle().await;
    let bucket = &first.tier.shared.bucket;
    let metrics = TierMetrics::default();
    let pass = crate::clean::clean(bucket, Some(1), &metrics).await;
    let pass = pass.ok().unwrap();
    assert_eq!(pass.cleaned.deleted, 0, "it is new");
    assert_eq!((pass.cleaned.blobs, pass.cleaned.bytes), (1, 1000));

    let second = bench_over(first.clients.clone());
    keeper::read_inventory(&second.tier.shared, Duration::ZERO)
        .await
        .unwrap();
    assert!(second.tier.shared.inventory.has(&digest));
    assert!(
        !second
            .tier
            .shared
            .inventory
            .has(&Digest::of(Algorithm::Sha256, b""))
    );
}

#[tokio::test]
async fn what_one_adds_the_others_hear() {
    let (first, bytes) = (bench(), content(1000));
    let second = bench_over(first.clients.clone());
    for bench in [&first, &second] {
        let read = keeper::read_inventory(&bench.tier.shared, Duration::ZERO);
        read.await.unwrap();
    }
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    first.download(digest, &bytes).await.unwrap();
    first.settle().await;
    assert!(!second.tier.shared.inventory.has(&digest));
    keeper::exchange_news(&first.tier.shared).await.unwrap();
    keeper::exchange_news(&second.tier.shared).await.unwrap();
    assert!(second.tier.shared.inventory.has(&digest));
}
