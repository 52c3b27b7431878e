//! The time a request and a download spend in this crate: `cargo bench -p manifest-model`.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use manifest_model::{
    Algorithm, Digest, Hasher, Manifest, Matcher, MediaType, Platform, Reference, RepoName, choose,
};

const IMAGE: &[u8] = include_bytes!("../tests/corpus/docker-image.json");
const INDEX: &[u8] = include_bytes!("../tests/corpus/oci-index.json");
const WINDOWS: &[u8] = include_bytes!("../tests/corpus/windows-list.json");
/// The size of the chunks in which a download is hashed.
const CHUNK_BYTES: usize = 1 << 20;

fn words(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    let digest = Digest::of(Algorithm::Sha256, IMAGE).to_string();
    group.bench_function("digest", |bencher| {
        bencher.iter(|| black_box(digest.as_str()).parse::<Digest>());
    });
    group.bench_function("reference by digest", |bencher| {
        bencher.iter(|| black_box(digest.as_str()).parse::<Reference>());
    });
    group.bench_function("repository name", |bencher| {
        bencher.iter(|| black_box("team/service/component").parse::<RepoName>());
    });
    group.bench_function("platform", |bencher| {
        bencher.iter(|| black_box("linux/arm/v7").parse::<Platform>());
    });
    group.finish();
}

fn parse(bytes: &'static [u8]) -> Manifest {
    let none: Option<&MediaType> = None;
    Manifest::parse(Bytes::from_static(bytes), none, Algorithm::Sha256)
        .expect("the corpus is valid")
}

/// Parsing includes the digest of the body.
fn manifests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("manifest");
    for (name, bytes) in [("image", IMAGE), ("index", INDEX)] {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| parse(black_box(bytes))));
    }
    group.finish();
}

fn choice(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("choose");
    let cases = [
        ("linux/amd64", INDEX, "linux/amd64"),
        ("a fallback: linux/arm64/v9", INDEX, "linux/arm64/v9"),
        ("windows by build", WINDOWS, "windows(10.0.20348)/amd64"),
    ];
    for (name, bytes, platform) in cases {
        let index = parse(bytes);
        let platform: Platform = platform.parse().expect("a platform");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let matcher = Matcher::new(black_box(&platform));
                let _ = black_box(choose(index.entries(), &matcher));
            });
        });
    }
    group.finish();
}

fn hashing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash");
    let chunk = vec![0x5a; CHUNK_BYTES];
    group.throughput(Throughput::Bytes(CHUNK_BYTES as u64));
    for (name, algorithm) in [("sha256", Algorithm::Sha256), ("sha512", Algorithm::Sha512)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut hasher = Hasher::new(algorithm);
                hasher.update(black_box(&chunk));
                hasher.finish()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, words, manifests, choice, hashing);
criterion_main!(benches);
