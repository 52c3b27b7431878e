//! A blob that cannot be read is taken out, and nothing else is.

use std::io;

use crate::support::{body, cache, store};

/// What a read of a bad sector says.
fn bad_sector() -> io::Error {
    io::Error::from_raw_os_error(5)
}

#[tokio::test]
async fn a_blob_is_taken_out_for_what_the_disk_says_and_not_for_anything_else() {
    let (cache, _folder) = cache();
    let digest = store(&cache, &body(100_000)).await;
    let file = cache.stored(&digest).unwrap().unwrap().file();
    let file = file.upgrade().unwrap();
    for passing in [io::ErrorKind::Interrupted, io::ErrorKind::Other] {
        file.condemn(&passing.into());
        assert!(cache.stored(&digest).unwrap().is_some(), "{passing}");
    }
    file.condemn(&bad_sector());
    assert!(cache.stored(&digest).unwrap().is_none());
}

#[tokio::test]
async fn who_still_reads_the_bad_file_does_not_take_out_the_good_one() {
    let (cache, _folder) = cache();
    let bytes = body(100_000);
    let digest = store(&cache, &bytes).await;
    let bad = cache.stored(&digest).unwrap().unwrap();
    let file = bad.file().upgrade().unwrap();
    file.condemn(&bad_sector());
    assert_eq!(store(&cache, &bytes).await, digest);
    file.condemn(&bad_sector());
    assert!(cache.stored(&digest).unwrap().is_some());
}
