//! The cost of a hit in this crate, with everything in memory: `cargo bench -p cache`.

use std::{fs, hint::black_box, path::Path};

use cache::{Cache, Options, ReadBy, RepoKey};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::TryStreamExt;
use manifest_model::{Algorithm, Digest, Manifest, Tag};
use tokio::runtime::Runtime;

const MANIFEST: &[u8] = include_bytes!("../../manifest-model/tests/corpus/docker-image.json");

/// A cache that finds these blobs in its folder.
fn open(folder: &Path, sizes: &[usize]) -> (Cache, Vec<Digest>) {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("a folder");
    let digests = sizes.iter().map(|size| {
        let content = vec![7; *size];
        let digest = Digest::of(Algorithm::Sha256, &content);
        fs::write(blobs.join(digest.hex()), content).expect("a file");
        digest
    });
    let digests = digests.collect();
    let cache = Cache::open(&Options {
        path: folder.to_owned(),
        max_size: u64::MAX,
        low_water: u64::MAX,
        min_free: 0,
        anew: false,
        max_open_files: 16,
    });
    (cache.expect("a cache"), digests)
}

fn bodies(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let _inside = runtime.enter();
    let cases = [
        ("5 KiB, copied", 5 << 10, ReadBy::Copy),
        ("4 MiB, copied", 4 << 20, ReadBy::Copy),
        ("64 MiB, mapped", 64 << 20, ReadBy::Map),
    ];
    let (cache, digests) = open(folder.path(), &cases.map(|(_, size, _)| size));
    let mut group = criterion.benchmark_group("body");
    for ((name, size, by), digest) in cases.into_iter().zip(digests) {
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let blob = cache.stored(black_box(&digest)).expect("an index");
                let blob = blob.expect("a blob");
                let all = 0..blob.size();
                let pieces = blob.read(all, by).try_for_each(async |piece| {
                    black_box(&piece);
                    Ok(())
                });
                runtime.block_on(pieces).expect("bytes");
            });
        });
    }
    group.finish();
}

fn names(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let _inside = runtime.enter();
    let (cache, _) = open(folder.path(), &[]);
    let repository = RepoKey::new("registry.example", &"team/app".parse().expect("a name"));
    let tag: Tag = "latest".parse().expect("a tag");
    let manifest = Manifest::parse(MANIFEST.into(), None, Algorithm::Sha256).expect("a manifest");
    let digest = manifest.digest();
    runtime
        .block_on(cache.store_manifest(&repository, &manifest, Some(&tag)))
        .expect("stored");
    let mut group = criterion.benchmark_group("look up");
    group.bench_function("tag", |bencher| {
        bencher.iter(|| cache.tag(black_box(&repository), &tag));
    });
    group.bench_function("link", |bencher| {
        bencher.iter(|| cache.is_linked(black_box(&repository), &digest));
    });
    group.bench_function("note a use", |bencher| {
        bencher.iter(|| cache.used(black_box(&digest)));
    });
    group.finish();
}

criterion_group!(hits, bodies, names);
criterion_main!(hits);
