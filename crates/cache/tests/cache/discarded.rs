//! A blob that cannot be read is discarded, and no other.

use std::io;

use crate::support::{body, cache, store};

/// The error of a read from a bad sector.
fn bad_sector() -> io::Error {
    io::Error::from_raw_os_error(5)
}

#[tokio::test]
async fn a_blob_is_discarded_for_an_error_of_the_disk_and_for_no_other() {
    let (cache, _folder) = cache();
    let digest = store(&cache, &body(100_000)).await;
    let file = cache.stored(&digest).unwrap().unwrap().file();
    let file = file.upgrade().unwrap();
    for passing in [io::ErrorKind::Interrupted, io::ErrorKind::Other] {
        file.discard_if_damaged(&passing.into());
        assert!(cache.stored(&digest).unwrap().is_some(), "{passing}");
    }
    file.discard_if_damaged(&bad_sector());
    assert!(cache.stored(&digest).unwrap().is_none());
}

#[tokio::test]
async fn a_reader_of_the_bad_file_does_not_discard_the_good_one() {
    let (cache, _folder) = cache();
    let bytes = body(100_000);
    let digest = store(&cache, &bytes).await;
    let bad = cache.stored(&digest).unwrap().unwrap();
    let file = bad.file().upgrade().unwrap();
    file.discard_if_damaged(&bad_sector());
    assert_eq!(store(&cache, &bytes).await, digest);
    file.discard_if_damaged(&bad_sector());
    assert!(cache.stored(&digest).unwrap().is_some());
}

#[tokio::test]
async fn a_bad_file_that_another_process_has_removed_gets_no_new_reader() {
    let (cache, folder) = cache();
    let digest = store(&cache, &body(100_000)).await;
    let bad = cache.stored(&digest).unwrap().unwrap();
    let path = folder.path().join("blobs/sha256").join(digest.hex());
    std::fs::remove_file(path).unwrap();
    bad.file()
        .upgrade()
        .unwrap()
        .discard_if_damaged(&bad_sector());
    assert!(cache.stored(&digest).unwrap().is_none());
}
