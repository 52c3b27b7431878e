//! Image layouts without a lock, as other tools write them.

use std::fs;
use std::process::Command;

use super::*;

/// What is done to an unpacked layout, and to one of its manifests.
type Change = fn(&Path, &Path);

fn lengthen_a_layer(layout: &Path) {
    let blobs = fs::read_dir(layout.join("blobs/sha256")).expect("a folder");
    let blobs = blobs.map(|blob| blob.expect("a file").path());
    let length = |blob: &PathBuf| fs::metadata(blob).expect("a file").len();
    let largest = blobs.max_by_key(length).expect("there are blobs");
    let mut bytes = fs::read(&largest).expect("it is there");
    bytes.push(0);
    fs::write(&largest, bytes).expect("a writable folder");
}

#[tokio::test]
async fn a_layout_that_lies_is_refused_with_the_reason() {
    let source = Source::new().await;
    let bundle = source.file("site.tar");
    said(&source.export(&bundle, &["--platform", BOTH]).await, 0);
    let site = site().await;
    let blob = source.content.child("linux/amd64").digest;
    let path = format!("blobs/sha256/{}", blob.hex());
    let changes: [(&str, Change); 7] = [
        ("is no regular file", |_, blob| {
            fs::rename(blob, blob.with_extension("aside")).expect("it is there");
            let aside = blob.with_extension("aside");
            std::os::unix::fs::symlink(aside, blob).expect("a link");
        }),
        ("is no regular file", |_, blob| {
            fs::remove_file(blob).expect("it is there");
            let made = Command::new("mkfifo").arg(blob).status();
            assert!(made.expect("mkfifo").success());
        }),
        ("is no manifest", |_, blob| {
            let mut bytes = fs::read(blob).expect("it is there");
            bytes.push(b'\n');
            fs::write(blob, bytes).expect("a writable folder");
        }),
        ("are announced", |layout, _| lengthen_a_layer(layout)),
        ("cannot be understood", |layout, _| {
            fs::write(layout.join("index.json"), "{").expect("a writable folder");
        }),
        ("neither an Archway bundle nor", |layout, _| {
            fs::remove_file(layout.join("oci-layout")).expect("it is there");
            fs::remove_file(layout.join("manifest.json")).expect("it is there");
        }),
        ("docker's old format", |layout, _| {
            fs::remove_file(layout.join("index.json")).expect("it is there");
        }),
    ];
    for (reason, change) in changes {
        let layout = TempDir::new().expect("a folder");
        let unpack = ["xf", bundle.to_str().expect("a plain path"), "-C"];
        let unpacked = Command::new("tar").args(unpack).arg(layout.path()).status();
        assert!(unpacked.expect("tar").success());
        change(layout.path(), &layout.path().join(&path));
        let import = ["import", layout.path().to_str().expect("a plain path")];
        let text = said(&site.bundle_command(&import).await, 1);
        assert!(text.contains(reason), "{reason}: {text}");
        let packed = source.file("layout.tar");
        let mut pack = Command::new("tar");
        pack.arg("cf")
            .arg(&packed)
            .arg("-C")
            .arg(layout.path())
            .arg(".");
        assert!(pack.status().expect("tar").success());
        let import = ["import", packed.to_str().expect("a plain path")];
        let text = said(&site.bundle_command(&import).await, 1);
        assert!(text.contains(reason), "{reason}: {text}");
    }
    assert_eq!(site.files("blobs"), []);
}
