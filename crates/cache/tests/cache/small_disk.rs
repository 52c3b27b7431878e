//! A file system that has little room, most of it for blobs that nothing evicts. It is a tmpfs, so these
//! tests need to be root.

use std::{path::PathBuf, process::Command};

use cache::{BundleRow, Cache, FillError, Options, Stage};
use tempfile::TempDir;

use crate::support::{body, digest, lead, store};

const MIB: usize = 1024 * 1024;

/// A mounted tmpfs, unmounted when it is dropped.
struct Small(PathBuf);

impl Small {
    fn of(size: &str, folder: &TempDir) -> Self {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .status();
        let mount = mount.expect("mount (Debian package mount)");
        assert!(mount.success(), "mounting needs root");
        Self(folder.path().to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn what_would_fit_only_in_place_of_pinned_blobs_evicts_nothing() {
    let folder = TempDir::new().unwrap();
    let _small = Small::of("32m", &folder);
    let cache = Cache::open(&Options {
        path: folder.path().into(),
        max_size: 1 << 30,
        low_water: 1 << 30,
        min_free: 0,
        anew: false,
        max_open_files: 4,
    });
    let cache = cache.unwrap();
    let (pinned, other) = (body(16 * MIB), body(4 * MIB));
    let bundle = BundleRow {
        id: digest(b"bundle"),
        stage: Stage::Arriving,
        since: 0,
        series: None,
        signer: None,
        allowed: Vec::new(),
        images: 1,
        names: Vec::new(),
    };
    cache.imports().begin(&bundle, &[digest(&pinned)]).unwrap();
    store(&cache, &pinned).await;
    let other = store(&cache, &other).await;
    // More than is free with the other one gone, and less than with the pinned one gone too.
    let (mut fill, _) = lead(&cache, &digest(b"too large"));
    let refused = fill.start(Some(20 * MIB as u64)).await.unwrap_err();
    assert!(matches!(*refused, FillError::Storage { .. }), "{refused:?}");
    assert!(cache.peek_size(&other).unwrap().is_some());
}
