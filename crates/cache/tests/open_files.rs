//! Idle files are closed when the process may open no more. The limit is the whole process's, so
//! this test has a process of its own.

use bytes::Bytes;
use cache::{Cache, Joined, Options};
use manifest_model::{Algorithm, Digest};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for the runtime and the index.
const LIMIT: u64 = 48;

#[tokio::test]
async fn files_that_nobody_reads_make_way_when_the_process_may_open_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        path: folder.path().into(),
        max_size: u64::MAX,
        low_water: u64::MAX,
        min_free: 0,
        anew: false,
        max_open_files: 1000,
    };
    let mut stored = Vec::new();
    let cache = Cache::open(&options).unwrap();
    for number in 0..2 * LIMIT {
        stored.push(store(&cache, format!("blob {number}").into()).await);
    }
    drop(cache);
    let cache = Cache::open(&options).unwrap();
    let current = Some(LIMIT);
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
    for digest in &stored {
        assert!(matches!(cache.join(digest), Ok(Joined::Stored(_))));
    }
}

async fn store(cache: &Cache, bytes: Bytes) -> Digest {
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    let Ok(Joined::Leading(mut fill, _)) = cache.join(&digest) else {
        panic!("nobody has it");
    };
    let started = fill.start(Some(bytes.len() as u64)).await;
    started.expect("there is room");
    let written = fill.writer().write(0, bytes).await;
    written.expect("the fill is open");
    fill.commit().await.expect("the digest matches");
    digest
}
