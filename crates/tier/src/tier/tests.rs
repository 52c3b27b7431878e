use std::{sync::Arc, time::SystemTime};

use cache::{Cache, FillError, Joined, Options};
use config::Config;
use futures_util::TryStreamExt;
use manifest_model::{Algorithm, Manifest};
use tempfile::TempDir;
use tokio::time::Instant;
use upstream::Part;

use super::*;
use crate::{
    leftovers::delete_records,
    uses::{self, Uses},
};

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

fn index(text: &str) -> Manifest {
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{{"text":"{text}"}}}}"#
    );
    Manifest::parse(text.into(), None, Algorithm::Sha256).unwrap()
}

#[tokio::test]
async fn the_record_of_a_tag_does_not_go_back() {
    let bench = bench();
    let (records, repository, tag) = (&bench.tier.shared.records, repository(), "v1");
    let tag: Tag = tag.parse().unwrap();
    let at = |text: &str, seconds| TagRecord {
        digest: index(text).digest(),
        confirmed: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
    };
    let (old, new) = (at("old", 1_000), at("new", 2_000));
    for record in [new, old, at("older", 500)] {
        records.write_tag(&repository, &tag, record).await.unwrap();
        assert_eq!(records.tag(&repository, &tag).await, Some(new));
    }
    let newest = at("newest", 3_000);
    records.write_tag(&repository, &tag, newest).await.unwrap();
    assert_eq!(records.tag(&repository, &tag).await, Some(newest));
}

#[tokio::test]
async fn two_janitors_at_once_lose_no_use() {
    let bench = bench();
    let bucket = &bench.tier.shared.bucket;
    uses::log(bucket, &[1], "a").await.unwrap();
    let first = Uses::read(bucket).await.unwrap();
    uses::log(bucket, &[2], "b").await.unwrap();
    let second = Uses::read(bucket).await.unwrap();
    second.keep(bucket, |_| true).await.unwrap();
    first.keep(bucket, |_| true).await.unwrap();
    let both = Uses::read(bucket).await.unwrap();
    assert!(both.last(1) > 0 && both.last(2) > 0);
}

#[tokio::test]
async fn records_go_with_the_manifest_that_they_name_and_not_before() {
    let (bench, repository) = (bench(), repository());
    let (bucket, records) = (&bench.tier.shared.bucket, &bench.tier.shared.records);
    let (gone, left) = (index("gone"), index("left"));
    let tags: [Tag; 2] = ["gone", "left"].map(|tag| tag.parse().unwrap());
    for (manifest, tag) in std::iter::zip([&gone, &left], &tags) {
        records.write_manifest(&repository, manifest).await.unwrap();
        let digest = manifest.digest();
        let confirmed = SystemTime::now();
        let record = TagRecord { digest, confirmed };
        records.write_tag(&repository, tag, record).await.unwrap();
        let bytes = manifest.bytes().clone().into();
        let noted = object_store::Attributes::new();
        let path = bucket.names().blob(&digest);
        bucket.write(&path, bytes, noted).await.unwrap();
    }
    let listed = [short(&left.digest())];
    let there = async || {
        let manifest = records.manifest(&repository, &gone.digest()).await;
        let tag = records.tag(&repository, &tags[0]).await;
        (manifest.is_some(), tag.is_some())
    };
    let today = SystemTime::now();
    delete_records(bucket, &listed, today).await.unwrap();
    assert_eq!(there().await, (true, true), "they may be new");
    let later = today + Duration::from_hours(24 * 31);
    delete_records(bucket, &listed, later).await.unwrap();
    assert_eq!(there().await, (false, false));
    let kept = records.manifest(&repository, &left.digest()).await;
    assert!(kept.is_some() && records.tag(&repository, &tags[1]).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_client_does_not_wait_until_every_manifest_was_looked_at() {
    let bench = bench_over(Clients::slow(Duration::from_secs(1)));
    let (tier, repository) = (&bench.tier, repository());
    for number in 0..100 {
        let manifest = index(&number.to_string());
        let records = &tier.shared.records;
        records
            .write_manifest(&repository, &manifest)
            .await
            .unwrap();
    }
    let (blob, begun) = (Digest::of(Algorithm::Sha256, b"blob"), Instant::now());
    let found = tier.manifest_naming(&repository, &blob).await;
    assert!(found.is_none());
    assert_eq!(
        begun.elapsed().as_secs(),
        3,
        "of the clock that stands still"
    );
}

#[tokio::test]
async fn a_wrong_object_is_deleted_also_before_anything_is_known_of_the_bucket() {
    let bench = bench();
    let bucket = &bench.tier.shared.bucket;
    let digest = Digest::of(Algorithm::Sha256, b"right");
    let path = bucket.names().blob(&digest);
    let wrong = object_store::PutPayload::from_static(b"wrong");
    let noted = object_store::Attributes::new();
    bucket.write(&path, wrong, noted).await.unwrap();
    let host = "registry.test".parse().unwrap();
    assert!(
        bench.tier.source(&host, &digest).is_some(),
        "it may be there"
    );
    bench.tier.doubt(&digest);
    bench.settle().await;
    let there = bucket.read(&path, 0..1).await;
    assert_eq!(there.err(), Some(TierError::Absent));
}
