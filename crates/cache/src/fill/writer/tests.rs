//! A disk that loses bytes on the way, as far as that can be had without one: a sync of `/dev/null`
//! is an error.

use std::ops::Range;

use bytes::Bytes;
use cache_store::disk::Blocks;
use manifest_model::Algorithm;
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use super::*;
use crate::{
    Options,
    blobs::Progress,
    fill::queue::queue,
    storage::{Demand, Storage},
};

const MIB: u64 = 1024 * 1024;

/// Enough for a sync beside the download.
const LONG: u64 = 64 * MIB;

struct Download {
    storage: Arc<Storage>,
    digest: Digest,
    outcome: Result<Verified, FillError>,
    part: std::path::PathBuf,
    _folder: TempDir,
}

/// A download of zeros of which one MiB is missing. It gets the bytes of `last`, and then no more.
/// Its syncs beside the writing fail.
async fn download(last: Range<u64>, running: &Arc<Running>) -> Download {
    let folder = TempDir::new().unwrap();
    let options = Options {
        path: folder.path().into(),
        max_size: u64::MAX,
        low_water: u64::MAX,
        min_free: 0,
        anew: false,
        max_open_files: 1,
    };
    let storage = Arc::new(Storage::open(&options).unwrap());
    let size = LONG + MIB;
    let zeros = vec![0; usize::try_from(size).unwrap()];
    let digest = Digest::of(Algorithm::Sha256, &zeros);
    let room = storage
        .make_room(&digest, Some(size), Demand::Once)
        .unwrap();
    let (staged, _) = storage
        .disk
        .ingest
        .stage_download(&digest, Some(size), Blocks::AtOnce)
        .unwrap();
    let part = staged.path().to_owned();
    let null = File::options().write(true).open("/dev/null").unwrap();
    let file = Arc::new(OpenFile::new(digest, null, None, &storage.disk));
    let written: Spans = std::iter::once(0..LONG).collect();
    let running = Arc::clone(running);
    let job = WriteJob::new(digest, (staged, written), file, Some(size), running, room);
    let (pieces, queue) = queue();
    let run = spawn_blocking(move || job.run(queue));
    let length = usize::try_from(last.end - last.start).unwrap();
    let bytes = Bytes::from(vec![0; length]);
    let offset = last.start;
    pieces.write(offset, bytes).await.unwrap();
    drop(pieces);
    Download {
        storage,
        digest,
        outcome: run.await.unwrap(),
        part,
        _folder: folder,
    }
}

#[tokio::test]
async fn a_blob_whose_bytes_were_lost_beside_the_writing_is_not_stored() {
    let download = download(LONG..LONG + MIB, &Arc::new(Running::new())).await;
    let digest = download.digest;
    // The sync may end before the writing or after it.
    let error = match download.outcome {
        Ok(verified) => spawn_blocking(move || verified.into_staged())
            .await
            .unwrap()
            .unwrap_err(),
        Err(FillError::Storage { source, .. }) => source,
        Err(other) => panic!("{other}"),
    };
    assert!(
        matches!(error, CacheError::Io { action: "sync", .. }),
        "{error}"
    );
    let stored = download.storage.blobs.stored(&digest, || None);
    assert!(stored.unwrap().is_none());
    assert!(!download.part.exists());
}

#[tokio::test]
async fn a_download_whose_bytes_were_lost_is_not_resumed() {
    let download = download(LONG..LONG + 1000, &Arc::new(Running::new())).await;
    let error = download.outcome.unwrap_err();
    assert!(matches!(error, FillError::Storage { .. }), "{error}");
    assert!(!download.part.exists());
    assert_eq!(download.storage.disk.ingest.partial(&download.digest), None);
}

#[tokio::test]
async fn followers_of_a_dropped_fill_are_not_told_that_it_runs() {
    let running = Arc::new(Running::new());
    let digest = Digest::of(Algorithm::Sha256, b"x");
    let dropped = Arc::new(FillError::Abandoned { digest });
    running.show(Progress::Failed(dropped));
    download(LONG..LONG + 1000, &running).await;
    let shown = running.subscribe();
    assert!(matches!(*shown.borrow(), Progress::Failed(_)));
}
