//! The promises that an operator's commands rely on.

use std::{
    fs,
    io::{Error, ErrorKind},
    num::NonZeroUsize,
    sync::Once,
};

use cache::{
    ReadBy,
    inspect::{Checked, Directory, Fault, NotACache, Removal, Repair, Unread, Verifier},
};
use manifest_model::{Algorithm, Digest};
use tempfile::TempDir;

use crate::support::{body, cache, collect, digest, names, open, store};

fn verify(
    directory: &Directory,
    repair: Repair,
    read: impl Fn(u64) + Sync,
) -> Vec<(Digest, Checked)> {
    let files = directory.list().unwrap().files;
    let sizes = directory.recorded_sizes().unwrap_or_default();
    let verifier = Verifier {
        directory,
        sizes: &sizes,
        repair,
        jobs: NonZeroUsize::new(2).unwrap(),
    };
    let mut all = Vec::new();
    verifier.run(&files, read, |file, checked| {
        all.push((file.digest, checked));
    });
    all
}

#[tokio::test]
async fn blobs_of_both_algorithms_are_verified() {
    let (cache, folder) = cache();
    store(&cache, &body(3_000_000)).await;
    let bytes = body(2000);
    let long = Digest::of(Algorithm::Sha512, &bytes);
    fs::write(folder.path().join("blobs/sha512").join(long.hex()), &bytes).unwrap();
    let directory = Directory::at(folder.path()).unwrap();
    let all = verify(&directory, Repair::Report, |_| ());
    assert_eq!(all.len(), 2);
    assert!(
        all.iter()
            .all(|(_, checked)| matches!(checked, Checked::Good)),
        "{all:?}"
    );
}

#[tokio::test]
async fn what_was_stored_anew_while_it_was_found_damaged_stays() {
    let (cache, folder) = cache();
    let bytes = body(100_000);
    let blob = store(&cache, &bytes).await;
    let directory = Directory::at(folder.path()).unwrap();
    let path = directory.file(&blob);
    fs::write(&path, vec![0; bytes.len()]).unwrap();
    let anew = Once::new();
    let all = verify(&directory, Repair::Discard, |_| {
        anew.call_once(|| {
            let good = folder.path().join("ingest/good");
            fs::write(&good, &bytes).unwrap();
            fs::rename(&good, &path).unwrap();
        });
    });
    assert!(
        matches!(&all[0].1, Checked::Bad(found) if found.file.digest == blob),
        "{all:?}"
    );
    assert!(fs::read(&path).unwrap() == bytes, "the good one is there");
}

#[tokio::test]
async fn what_goes_while_others_are_read_is_no_damage() {
    let (cache, folder) = cache();
    let (first, second) = (
        store(&cache, &body(1000)).await,
        store(&cache, &body(2000)).await,
    );
    let directory = Directory::at(folder.path()).unwrap();
    let files = directory.list().unwrap().files;
    fs::remove_file(directory.file(&second)).unwrap();
    let sizes = std::collections::HashMap::new();
    let verifier = Verifier {
        directory: &directory,
        sizes: &sizes,
        repair: Repair::Discard,
        jobs: NonZeroUsize::MIN,
    };
    let mut all = Vec::new();
    verifier.run(
        &files,
        |_| (),
        |file, checked| all.push((file.digest, checked)),
    );
    assert_eq!(all.len(), 2);
    for (digest, checked) in &all {
        match checked {
            Checked::Good => assert_eq!(*digest, first),
            Checked::Gone => assert_eq!(*digest, second),
            Checked::Bad(finding) => panic!("{finding:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_removed_while_it_is_read_is_read_to_its_end() {
    let (cache, folder) = cache();
    let bytes = body(1_000_000);
    let digest = store(&cache, &bytes).await;
    let other = store(&cache, &body(1000)).await;
    let blob = cache.stored(&digest).unwrap().unwrap();
    let removed = cache.remove(vec![Removal::Blob(digest)]).await.unwrap();
    assert_eq!(removed[0].blobs, [(digest, 1_000_000)]);
    assert_eq!(names(&folder, "blobs/sha256"), [other.hex()]);
    assert!(cache.stored(&digest).unwrap().is_none());
    assert_eq!(cache.usage().bytes, 1000);
    let read = collect(blob.read(0..1_000_000, ReadBy::Copy))
        .await
        .unwrap();
    assert!(read == bytes);
    let again = cache.remove(vec![Removal::Blob(digest)]).await.unwrap();
    assert!(again[0].is_empty());
}

#[test]
fn only_what_the_disk_says_is_broken_is_damage() {
    let unreadable = |errno| Fault::Unreadable(Error::from_raw_os_error(errno)).is_damage();
    let (io, access, too_many_files) = (5, 13, 24);
    assert!(unreadable(io));
    assert!(!unreadable(access) && !unreadable(too_many_files));
    assert!(!Fault::Unreadable(ErrorKind::TimedOut.into()).is_damage());
}

#[tokio::test]
async fn the_index_is_read_only_while_nobody_owns_it() {
    let folder = TempDir::new().unwrap();
    let cache = open(&folder, u64::MAX);
    let blob = store(&cache, &body(1000)).await;
    let directory = Directory::at(folder.path()).unwrap();
    assert!(matches!(directory.recorded_sizes(), Err(Unread::InUse)));
    assert_eq!(directory.contents().unwrap().blobs.len(), 1);
    drop(cache);
    assert_eq!(directory.recorded_sizes().unwrap()[&blob], 1000);
    fs::remove_file(folder.path().join("index.redb")).unwrap();
    assert!(matches!(directory.recorded_sizes(), Err(Unread::Missing)));
    assert!(
        !folder.path().join("index.redb").exists(),
        "reading makes none"
    );
}

#[tokio::test]
async fn a_reader_of_the_index_does_not_shut_out_another_reader() {
    let (cache, folder) = cache();
    let blob = store(&cache, &body(1000)).await;
    drop(cache);
    let looking = fs::File::open(folder.path().join("lock")).unwrap();
    looking.lock_shared().unwrap();
    let directory = Directory::at(folder.path()).unwrap();
    assert_eq!(directory.recorded_sizes().unwrap()[&blob], 1000);
}

#[tokio::test]
async fn names_that_are_no_digests_are_listed_apart() {
    let (cache, folder) = cache();
    let blob = store(&cache, &body(1000)).await;
    let blobs = folder.path().join("blobs");
    fs::create_dir(blobs.join("md5")).unwrap();
    fs::create_dir(blobs.join("sha256").join(digest(b"a folder").hex())).unwrap();
    fs::write(blobs.join("sha256").join(blob.hex().to_uppercase()), "").unwrap();
    let listing = Directory::at(folder.path()).unwrap().list().unwrap();
    let files: Vec<Digest> = listing.files.iter().map(|file| file.digest).collect();
    assert_eq!(files, [blob]);
    assert_eq!(listing.foreign.len(), 3, "{:?}", listing.foreign);
}

#[test]
fn a_folder_without_blobs_is_no_cache() {
    let folder = TempDir::new().unwrap();
    let error = Directory::at(folder.path()).unwrap_err();
    assert!(matches!(error, NotACache::Foreign { .. }), "{error}");
    let error = Directory::at(&folder.path().join("nowhere")).unwrap_err();
    assert!(matches!(error, NotACache::Unreadable { .. }), "{error}");
}
