//! Imports: complete or invisible, whatever happens, and kept until their bundle is removed.

use std::fs;

use integration_tests::images::{BigBlob, Blob};

use super::*;

/// The calls that change files, or read the bundle.
const DISK_CALLS: [&str; 9] = [
    "openat",
    "read",
    "write",
    "pwrite64",
    "copy_file_range",
    "rename",
    "fsync",
    "fdatasync",
    "syncfs",
];

pub(super) async fn exported(source: &Source) -> String {
    let file = source.file("site.tar");
    said(&source.export(&file, &["--platform", BOTH]).await, 0);
    file.to_str().expect("a plain path").to_owned()
}

/// The tags of a stopped site, as `archway cache ls` has them.
pub(super) async fn tags(site: &Archway) -> Vec<String> {
    let output = site.cache_command(&["ls", "--tags", "-o", "json"]).await;
    if output.status.code() == Some(2) {
        // It was killed before there was a cache, or an index in it.
        return Vec::new();
    }
    let json: Value = serde_json::from_str(&said(&output, 0)).expect("JSON");
    let tags = json["tags"].as_array().expect("a list").iter();
    tags.map(|tag| format!("{}:{}", tag["repository"], tag["tag"]).replace('"', ""))
        .collect()
}

async fn assert_whole(site: Archway, source: &Source) -> Archway {
    let site = site.restart().await;
    assert_whole_now(&site, source).await;
    site
}

pub(super) async fn assert_whole_now(site: &Archway, source: &Source) {
    let client = site.client();
    let root = source.content.root();
    let answer = client.manifest(REPOSITORY, "v1").await.expect(200);
    assert_eq!(answer.body, root.bytes);
    for platform in ["linux/amd64", "linux/arm64/v8"] {
        let child = source.content.child(platform);
        let answer = client.manifest(REPOSITORY, child.digest).await.expect(200);
        let manifest: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let layers = manifest["layers"].as_array().expect("layers").iter();
        for blob in layers.chain([&manifest["config"]]) {
            let digest = blob["digest"].as_str().expect("a digest");
            client.blob(REPOSITORY, digest).await.expect(200);
        }
    }
}

#[tokio::test]
async fn an_import_that_is_killed_at_any_disk_call_shows_nothing_and_is_completed_by_the_next() {
    let source = Source::new().await;
    let path = exported(&source).await;
    let site = site().await;
    let (mut killed, mut visible) = (0, 0);
    for disk_call in DISK_CALLS {
        // At the first of these calls, the second, the fourth and on, until there are no more.
        for count in (1..).map(|number| number + number * number / 8) {
            fs::remove_dir_all(site.cache_folder()).expect("a cache");
            let trace = format!("trace={disk_call}");
            let inject = format!("inject={disk_call}:signal=SIGKILL:when={count}");
            let strace = ["strace", "-f", "-qq", "-o", "/dev/null"];
            let program = [&strace[..], &["-e", &trace, "-e", &inject]].concat();
            let output = site.bundle_command_by(&program, &["import", &path]).await;
            let found = tags(&site).await;
            if output.status.success() {
                assert_eq!(found.len(), 1, "{found:?}");
                break;
            }
            killed += 1;
            if !found.is_empty() {
                // It was killed behind the last transaction, so all of it is there.
                visible += 1;
                let dry = site.bundle_command(&["import", &path, "--dry-run"]).await;
                let text = said(&dry, 0);
                assert!(text.contains(", 0 new of "), "{text}");
            }
            said(&site.bundle_command(&["import", &path]).await, 0);
            assert_eq!(tags(&site).await.len(), 1);
            said(&site.cache_command(&["verify"]).await, 0);
        }
    }
    assert!(killed >= 50, "{killed}");
    assert!(visible < killed / 2, "{visible} of {killed}");
    assert_whole(site, &source).await;
}

#[tokio::test]
async fn parts_come_in_any_order_and_a_pipe_will_do() {
    let source = Source::new().await;
    let path = exported(&source).await;
    let third = fs::metadata(&path).expect("it was written").len() / 3 + 4096;
    let split = ["bundle", "split", &third.to_string(), &path];
    said(&run(&split).await, 0);
    let parts: Vec<String> = [2, 3, 1]
        .iter()
        .map(|part| format!("{path}.{part:03}"))
        .collect();
    let site = site().await;
    let text = said(&site.bundle_command(&["import", &parts[0]]).await, 1);
    assert!(text.contains("in a part that is not here"), "{text}");
    assert_eq!(tags(&site).await, Vec::<String>::new());
    let words = [
        &["import"],
        &parts.iter().map(String::as_str).collect::<Vec<_>>()[..],
    ]
    .concat();
    said(&site.bundle_command(&words).await, 0);
    let site = assert_whole(site, &source).await;
    drop(site);

    let site = super::site().await;
    let config = site.cache_folder().with_file_name("archway.toml");
    let config = config.to_str().expect("a plain path");
    let words = ["bundle", "import", "-", "--config", config];
    said(&site.piped(&words, Path::new(&path)).await, 0);
    assert_whole(site, &source).await;
}

#[tokio::test]
async fn what_a_bundle_brought_is_not_evicted_whatever_else_is_pulled() {
    const MIB: u64 = 1 << 20;
    let source = Source::new().await;
    let path = exported(&source).await;
    let registry = FakeRegistry::start().await;
    let other = FakeRegistry::start().await;
    let blobs: Vec<Blob> = (0..12)
        .map(|number| BigBlob::new(&format!("other {number}"), 4 * MIB).into())
        .collect();
    other.push("team/other", "v1", &images::of_blobs(&blobs));
    let mut site = Setup::in_front_of(&registry)
        .upstream("other.test", &other)
        .cache("max_size = \"16MiB\"")
        .start()
        .await;
    registry.close().await;
    stop(&mut site).await;
    said(&site.bundle_command(&["import", &path]).await, 0);
    let site = site.restart().await;
    let client = site.client();
    for blob in &blobs {
        let path = format!("/v2/other.test/team/other/blobs/{}", blob.digest());
        let answer = client.get(&path).await.expect(200);
        assert_eq!(answer.body.len() as u64, blob.size());
    }
    let kept: u64 = site.files("blobs").iter().map(|(_, size)| size).sum();
    assert!(kept <= 16 * MIB, "{kept}");
    assert_whole(site, &source).await;
}

#[tokio::test]
async fn a_flipped_bit_and_a_cut_are_refused_or_harmless_wherever_they_are() {
    let source = Source::new().await;
    let path = exported(&source).await;
    let bytes = fs::read(&path).expect("it was written");
    let site = site().await;
    let damaged = source.file("damaged.tar");
    let damaged_path = damaged.to_str().expect("a plain path");
    let mut refused = 0;
    for step in 0..40 {
        let at = bytes.len() / 40 * step + step * 37;
        let mut wrong = bytes.clone();
        wrong[at] ^= 1 << (step % 8);
        for content in [&wrong[..], &bytes[..at]] {
            let _ = fs::remove_dir_all(site.cache_folder());
            fs::write(&damaged, content).expect("a writable folder");
            let output = site.bundle_command(&["import", damaged_path]).await;
            if output.status.success() {
                assert!(content.len() == bytes.len(), "cut at {at}");
                let text = said(&run(&["bundle", "verify", damaged_path]).await, 1);
                let around = ["headers or the padding", "the end of the bundle"];
                let is_around = around.iter().any(|words| text.contains(words));
                assert!(is_around, "{at}: {text}");
            } else {
                refused += 1;
                assert_eq!(tags(&site).await, Vec::<String>::new(), "{at}");
            }
        }
    }
    assert!(refused >= 40, "{refused}");
}

#[tokio::test]
async fn images_go_to_another_place_if_asked_to() {
    let source = Source::new().await;
    let path = exported(&source).await;
    let site = site().await;
    let words = ["import", &path, "--as", "nobody.test/team/app"];
    let text = said(&site.bundle_command(&words).await, 2);
    assert!(text.contains("no upstream nobody.test"), "{text}");
    let place = format!("{UPSTREAM}/mirror/app");
    let words = ["import", &path, "--as", &place, "--dry-run"];
    said(&site.bundle_command(&words).await, 0);
    assert_eq!(tags(&site).await, Vec::<String>::new());
    said(&site.bundle_command(&words[..4]).await, 0);
    let placed = format!("{place}:v1");
    assert_eq!(tags(&site).await, std::slice::from_ref(&placed));

    // Imported under its own name too, the bundle keeps both.
    said(&site.bundle_command(&words[..2]).await, 0);
    for name in [placed, format!("{UPSTREAM}/{REPOSITORY}:v1")] {
        let text = said(&site.cache_command(&["rm", &name]).await, 1);
        assert!(text.contains("kept by the bundle"), "{text}");
    }
}

#[tokio::test]
async fn a_bundle_is_listed_and_keeps_its_images_until_it_is_removed() {
    let source = Source::new().await;
    let path = exported(&source).await;
    let other = source.file("arm64.tar");
    let words = ["--platform", "linux/arm64"];
    said(&source.export(&other, &words).await, 0);
    let other = other.to_str().expect("a plain path");
    let site = site().await;
    let text = said(&site.bundle_command(&["import", other, &path]).await, 0);
    let ids: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("bundle "))
        .collect();
    let listed = said(&site.bundle_command(&["ls", "-o", "json"]).await, 0);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let own: Vec<u64> = ids
        .iter()
        .map(|id| {
            let bundles = listed["bundles"].as_array().expect("a list").iter();
            let mut bundles = bundles.filter(|bundle| bundle["id"] == *id);
            let bundle = bundles.next().expect("it is listed");
            assert_eq!(bundle["finished"], true);
            bundle["own_bytes"].as_u64().expect("a number")
        })
        .collect();
    assert_eq!(own[0], 0, "the second has all of the first");
    assert!(own[1] > 0);

    let name = format!("{UPSTREAM}/{REPOSITORY}:v1");
    let digest = source.content.root().digest.to_string();
    for kept in [&name, &digest] {
        let text = said(&site.cache_command(&["rm", kept]).await, 1);
        assert!(
            text.contains(&format!("kept by the bundle {}", ids[0])) || text.contains(ids[1]),
            "{text}"
        );
    }
    let before: u64 = site.files("blobs").iter().map(|(_, size)| size).sum();
    let short = &ids[1]["sha256:".len()..][..12];
    let text = said(&site.bundle_command(&["rm", short, "--purge"]).await, 0);
    let after: u64 = site.files("blobs").iter().map(|(_, size)| size).sum();
    assert_eq!(before - after, own[1], "{text}");
    assert_eq!(tags(&site).await, [name], "the first names it too");
    said(&site.bundle_command(&["rm", ids[0], "--purge"]).await, 0);
    assert_eq!(site.files("blobs"), []);
    let text = said(&site.bundle_command(&["rm", ids[0]]).await, 1);
    assert!(text.contains("no bundle sha256:"), "{text}");
    assert_eq!(tags(&site).await, Vec::<String>::new());
}

#[tokio::test]
async fn bundles_and_their_pins_survive_the_loss_of_the_index() {
    let source = Source::new().await;
    let path = exported(&source).await;
    let site = site().await;
    said(&site.bundle_command(&["import", &path]).await, 0);
    let before = said(&site.bundle_command(&["ls", "-o", "json"]).await, 0);
    fs::remove_file(site.cache_folder().join("index.redb")).expect("an index");
    let mut site = assert_whole(site, &source).await;
    stop(&mut site).await;
    assert_eq!(
        said(&site.bundle_command(&["ls", "-o", "json"]).await, 0),
        before
    );
    let digest = source.content.root().digest.to_string();
    said(&site.cache_command(&["rm", &digest]).await, 1);
}

#[tokio::test]
async fn a_disk_that_is_full_at_99_percent_loses_nothing_and_the_next_import_goes_on() {
    let source = Source::new().await;
    let path = exported(&source).await;
    let site = site().await;
    let cache = site.cache_folder();
    let shell = |line: &str| {
        let output = std::process::Command::new("sh").args(["-c", line]).output();
        said(&output.expect("a shell"), 0)
    };
    let at = cache.display();
    // Room for the index and for some of the 60 KiB that the bundle brings.
    shell(&format!("mount -t tmpfs -o size=8m tmpfs {at}"));
    let mounted = Unmounted(&cache);
    said(&site.bundle_command(&["ls"]).await, 2);
    let first = site.bundle_command(&["import", "/nowhere.tar"]).await;
    said(&first, 2);
    let small = source.file("arm64.tar");
    let words = ["--platform", "linux/arm64"];
    said(&source.export(&small, &words).await, 0);
    said(
        &site
            .bundle_command(&["import", small.to_str().expect("a path")])
            .await,
        0,
    );
    shell(&format!(
        "head -c 8m /dev/zero > {at}/filler || true; truncate -s -8k {at}/filler"
    ));
    let output = site.bundle_command(&["import", &path]).await;
    assert_ne!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let says_why = [
        "No space left",
        "bytes left",
        "free space",
        "bytes are to be written",
    ];
    assert!(says_why.iter().any(|words| text.contains(words)), "{text}");
    shell(&format!("rm {at}/filler"));
    let name = format!("{UPSTREAM}/{REPOSITORY}:v1");
    assert_eq!(tags(&site).await, [name]);
    said(&site.bundle_command(&["import", &path]).await, 0);
    let site = assert_whole(site, &source).await;
    drop(site);
    drop(mounted);
}

/// A mounted folder, unmounted when this is dropped.
struct Unmounted<'a>(&'a Path);

impl Drop for Unmounted<'_> {
    fn drop(&mut self) {
        let mut umount = std::process::Command::new("umount");
        let _ = umount.arg("-l").arg(self.0).status();
    }
}

#[tokio::test]
async fn a_medium_that_is_pulled_out_is_named_and_the_next_import_goes_on() {
    let source = Source::new().await;
    let path = exported(&source).await;
    let site = site().await;
    let inject = "inject=copy_file_range:error=EIO:when=6+";
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", inject];
    let output = site.bundle_command_by(&strace, &["import", &path]).await;
    let text = said(&output, 1);
    assert!(text.contains("cannot copy the blob sha256:"), "{text}");
    assert!(text.contains("Input/output error"), "{text}");
    assert_eq!(tags(&site).await, Vec::<String>::new());
    let text = said(&site.bundle_command(&["ls"]).await, 0);
    assert!(text.contains("unfinished"), "{text}");
    let text = said(&site.bundle_command(&["import", &path]).await, 0);
    assert!(text.contains(", 4 new of 9 blobs"), "five are here: {text}");
    assert_whole(site, &source).await;
}

#[tokio::test]
async fn a_lock_of_a_gigabyte_is_refused_unread() {
    let source = Source::new().await;
    let path = exported(&source).await;
    let mut bytes = fs::read(&path).expect("it was written");
    // The header of the lock is the third block; its size is octal, its sum is of all bytes.
    let header = &mut bytes[1024..1536];
    header[124..135].copy_from_slice(format!("{:011o}", 1_u64 << 30).as_bytes());
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let file = source.file("large.tar");
    fs::write(&file, &bytes).expect("a writable folder");
    let site = site().await;
    let import = ["import", file.to_str().expect("a plain path")];
    let text = said(&site.bundle_command(&import).await, 2);
    assert!(
        text.contains("the lock has 1073741824 bytes; at most 67108864"),
        "{text}"
    );
}
