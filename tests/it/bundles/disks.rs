//! What an export and an import take of a disk, of memory and of time: on loop images of real file
//! systems, with next to no room for temporary files. `ARCHWAY_BUNDLE_MIB` makes the bundle larger:
//! `make soak` has 1 GiB.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use integration_tests::images::noise;
use integration_tests::proxy::binary;
use manifest_model::{Algorithm, Digest};
use serde_json::json;

use super::*;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// The size of a blob: as in 2,000 of 1 GiB.
const BLOB: u64 = 524 * KIB;

/// What is held to be nothing beside a bundle: the index, the snapshot and the log of the file system.
const OVERHEAD: u64 = 8 * MIB;

/// How often the free space is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// The size of a bundle, of so many MiB unless the environment has another number.
fn bundle_bytes(mib: u64) -> u64 {
    let given = std::env::var("ARCHWAY_BUNDLE_MIB").ok();
    given.map_or(mib, |text| text.parse().expect("a number of MiB")) * MIB
}

/// A file system in a file, mounted over the cache folder of a site.
struct Mounted {
    site: Archway,
    mount: Mount,
    image: TempDir,
}

/// A folder that is unmounted when this is dropped.
struct Mount(PathBuf);

impl Mounted {
    async fn new(kind: &str, bytes: u64) -> Self {
        let site = site().await;
        let folder = site.cache_folder();
        fs::remove_dir_all(&folder).expect("a cache");
        fs::create_dir(&folder).expect("a folder");
        let image = TempDir::new().expect("a folder");
        let file = image.path().join("image");
        let sparse = File::create(&file).expect("a writable folder");
        sparse.set_len(bytes).expect("a sparse file");
        let make = match kind {
            "ext4" => vec!["mkfs.ext4", "-q", "-F"],
            "xfs" => vec!["mkfs.xfs", "-q"],
            _ => vec!["mkfs.btrfs", "-q"],
        };
        ran(Command::new(make[0]).args(&make[1..]).arg(&file));
        ran(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&file)
            .arg(&folder));
        Self {
            site,
            mount: Mount(folder),
            image,
        }
    }

    fn path(&self, name: &str) -> String {
        let path = self.mount.0.join(name);
        path.to_str().expect("a plain path").to_owned()
    }

    /// Bytes of it that are taken, of all that was written.
    fn used(&self) -> u64 {
        rustix::fs::sync();
        used(&self.mount.0)
    }

    /// Runs `archway bundle ...` on one processor with 16 MB for temporary files.
    fn bundle(&self, words: &[&str]) -> Cost {
        let temporary = TempDir::new().expect("a folder");
        let at = temporary.path();
        ran(Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
            .arg(at));
        let folder = self.mount.0.clone();
        let config = folder.with_file_name("archway.toml");
        let before = self.used();
        let highest = Arc::new(AtomicU64::new(before));
        let done = Arc::new(AtomicBool::new(false));
        let looking = {
            let (highest, done) = (Arc::clone(&highest), Arc::clone(&done));
            thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    highest.fetch_max(used(&folder), Ordering::Relaxed);
                    thread::sleep(LOOK);
                }
            })
        };
        let mut command = measured();
        command.arg(binary()).arg("bundle").args(words);
        command.arg("--config").arg(config).env("TMPDIR", at);
        let output = command.output().expect("python3 starts");
        done.store(true, Ordering::Relaxed);
        looking.join().expect("no panic");
        let left = fs::read_dir(at).expect("a folder").count();
        ran(Command::new("umount").arg(at));
        assert_eq!(left, 0, "nothing is left behind");
        let after = self.used();
        let mut cost = Cost::of(&output);
        cost.peak = highest.load(Ordering::Relaxed).saturating_sub(before);
        cost.space = after.saturating_sub(before);
        cost
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// What a command took.
#[derive(Debug)]
struct Cost {
    /// Seconds of a processor.
    processor: f64,
    /// The most memory that was its own, in bytes.
    memory: u64,
    /// The most bytes of the file system while it ran, and those that stay.
    peak: u64,
    space: u64,
}

/// Runs the words behind it on one processor, and says what that took.
fn measured() -> Command {
    const MEASURE: &str = "import os, resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print('COST', used.ru_utime + used.ru_stime, used.ru_maxrss, file=sys.stderr)
sys.exit(code)";
    let mut command = Command::new("taskset");
    command.args(["-c", "0", "python3", "-c", MEASURE]);
    command
}

impl Cost {
    fn of(output: &Output) -> Self {
        let text = said(output, 0);
        let line = text.lines().find_map(|line| line.strip_prefix("COST "));
        let mut numbers = line.expect("a last line").split(' ');
        let mut next = || {
            numbers
                .next()
                .expect("a number")
                .parse::<f64>()
                .expect("a number")
        };
        let processor = next();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "KiB of memory"
        )]
        let memory = next() as u64 * KIB;
        Self {
            processor,
            memory,
            peak: 0,
            space: 0,
        }
    }
}

fn used(folder: &Path) -> u64 {
    let stat = rustix::fs::statvfs(folder).expect("a file system");
    (stat.f_blocks - stat.f_bfree) * stat.f_frsize
}

#[track_caller]
fn ran(command: &mut Command) {
    let output = command
        .output()
        .expect("it is installed: tests/tools/install.sh clients");
    said(&output, 0);
}

/// An OCI layout with one image of many layers, each of `layer` bytes.
fn write_layout(folder: &Path, image: &str, layer: u64, bytes: u64) -> Vec<Value> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("a new folder");
    let put = |content: &[u8], media_type: &str| {
        let digest = Digest::of(Algorithm::Sha256, content);
        fs::write(blobs.join(digest.hex()), content).expect("a writable folder");
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": content.len()})
    };
    let mut content = noise(image, usize::try_from(layer).expect("small"));
    let layers = (0..bytes / layer).map(|number| {
        content[..8].copy_from_slice(&number.to_le_bytes());
        put(&content, "application/vnd.oci.image.layer.v1.tar")
    });
    let layers: Vec<Value> = layers.collect();
    let config = json!({"os": "linux", "architecture": "amd64"}).to_string();
    let config = put(
        config.as_bytes(),
        "application/vnd.oci.image.config.v1+json",
    );
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": &layers});
    let mut manifest = put(manifest.to_string().as_bytes(), kind);
    manifest["annotations"] =
        json!({"io.containerd.image.name": format!("{UPSTREAM}/team/{image}:v1")});
    let index = json!({"schemaVersion": 2, "manifests": [manifest]}).to_string();
    fs::write(folder.join("index.json"), index).expect("a writable folder");
    fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .expect("a folder");
    layers
}

/// Exports a bundle on the file system, removes all that it was made of, and imports it again.
async fn round(kind: &str, mib: u64, copies: u64) -> (u64, [Cost; 2], Mounted) {
    let bytes = bundle_bytes(mib);
    let mounted = Mounted::new(kind, bytes * (copies + 1) + 600 * MIB).await;
    let (layout, tar) = (mounted.path("layout"), mounted.path("site.tar"));
    write_layout(Path::new(&layout), "large", BLOB, bytes);
    mounted.bundle(&["import", &layout]);
    fs::remove_dir_all(&layout).expect("a folder");
    let name = format!("{UPSTREAM}/team/large:v1");
    let export = mounted.bundle(&["export", &name, "--platform", "all", "-o", &tar]);
    fs::remove_dir_all(mounted.mount.0.join("blobs")).expect("a cache");
    for file in ["index.redb", "names.jsonl"] {
        fs::remove_file(mounted.mount.0.join(file)).expect("a cache");
    }
    let import = mounted.bundle(&["import", &tar]);
    let size = fs::metadata(&tar).expect("it was written").len();
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{kind}: bundle {size}, export {export:?}, import {import:?}"
    );
    // For those who run it by hand.
    let _ = std::io::stderr().write_all(text.as_bytes());
    said(&mounted.site.cache_command(&["verify"]).await, 0);
    (size, [export, import], mounted)
}

fn hashing(file: &str) -> Cost {
    let mut openssl = measured();
    openssl.args(["openssl", "dgst", "-sha256", file]);
    Cost::of(&openssl.output().expect("python3 starts"))
}

async fn takes_no_room(kind: &str, mib: u64) -> (Cost, Mounted) {
    let (size, costs, mounted) = round(kind, mib, 1).await;
    for cost in &costs {
        assert!(cost.space < size / 100 + OVERHEAD, "{kind}: {cost:?}");
        assert!(cost.peak < size / 100 + OVERHEAD, "{kind}: {cost:?}");
        assert!(cost.memory < 60 * MIB, "{kind}: {cost:?}");
    }
    let [_, import] = costs;
    (import, mounted)
}

#[tokio::test]
async fn where_extents_are_shared_a_bundle_takes_no_room_and_the_time_to_hash_it() {
    let (import, mounted) = takes_no_room("xfs", 256).await;
    // Of a processor, which says the same on a machine that is busy; a debug build is slower.
    let hashed = hashing(&mounted.path("site.tar"));
    let bound = if cfg!(debug_assertions) { 0.4 } else { 0.8 };
    assert!(
        hashed.processor >= bound * import.processor,
        "{hashed:?} {import:?}"
    );
}

#[tokio::test]
async fn btrfs_shares_them_too() {
    takes_no_room("btrfs", 256).await;
}

#[tokio::test]
async fn where_they_are_not_an_import_writes_each_byte_once() {
    let (size, costs, _mounted) = round("ext4", 256, 2).await;
    for cost in &costs {
        let most = size + size / 100 + OVERHEAD;
        assert!(cost.space < most && cost.peak < most, "{cost:?}");
        assert!(cost.memory < 60 * MIB, "{cost:?}");
    }
}

/// Clients that take 100 MB a second each while a bundle comes in: what they get of what they got
/// before.
#[tokio::test]
async fn clients_keep_their_rate_while_a_bundle_comes_in() {
    let (_, _, mounted) = round("xfs", 256, 1).await;
    let layout = mounted.path("small");
    let layers = write_layout(Path::new(&layout), "small", 32 * MIB, 32 * MIB);
    mounted.bundle(&["import", &layout]);
    let large = mounted.path("site.tar");
    let id = said(&run(&["bundle", "inspect", &large, "-o", "json"]).await, 0);
    let id: Value = serde_json::from_str(&id).expect("JSON");
    let remove = ["rm", id["id"].as_str().expect("an id"), "--purge"];
    said(&mounted.site.bundle_command(&remove).await, 0);
    let Mounted { site, mount, image } = mounted;
    let site = site.restart().await;
    let layer = layers[0]["digest"].as_str().expect("a digest");
    let url = format!("{}/v2/{UPSTREAM}/team/small/blobs/{layer}", site.url());
    let before = rate(&url, || false);
    let config = mount.0.with_file_name("archway.toml");
    let mut import = Command::new(binary());
    import
        .args(["bundle", "import", &large, "--config"])
        .arg(config);
    let mut import = import.spawn().expect("it starts");
    let while_it_runs = rate(&url, || import.try_wait().expect("our child").is_none());
    assert!(import.wait().expect("it ran").success());
    let share = while_it_runs / before;
    let mut text = String::new();
    let _ = writeln!(text, "{before} and {while_it_runs} bytes a second: {share}");
    let _ = std::io::stderr().write_all(text.as_bytes());
    let by_hand = std::env::var_os("ARCHWAY_BUNDLE_MIB").is_some();
    assert!(share >= if by_hand { 0.9 } else { 0.3 }, "{text}");
    drop((site, mount, image));
}

/// Bytes a second of a client that takes at most 100 MB, for at least one body and as long as asked.
fn rate(url: &str, mut goes_on: impl FnMut() -> bool) -> f64 {
    let (mut bytes, mut seconds) = (0.0, 0.0);
    loop {
        let mut curl = Command::new("curl");
        curl.args(["-sf", "--limit-rate", "100M", "-o", "/dev/null"]);
        let output = curl
            .args(["-w", "%{size_download} %{time_total}", url])
            .output();
        let text = said(&output.expect("curl starts"), 0);
        let (size, time) = text.split_once(' ').expect("two numbers");
        bytes += size.parse::<f64>().expect("a number");
        seconds += time.parse::<f64>().expect("a number");
        if !goes_on() {
            return bytes / seconds;
        }
    }
}

#[tokio::test]
async fn what_is_inspected_is_the_head_alone() {
    let source = Source::new().await;
    let file = source.file("site.tar");
    said(&source.export(&file, &["--platform", BOTH]).await, 0);
    let path = file.to_str().expect("a plain path");
    let read = || {
        let trace = source.file("trace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-P", path, "-e", "trace=read,pread64,mmap"]);
        strace.arg("-o").arg(&trace).arg(binary());
        let output = strace.args(["bundle", "inspect", path]).output();
        (
            said(&output.expect("strace starts"), 0),
            fs::read_to_string(trace).expect("a trace"),
        )
    };
    let (small, calls) = read();
    let read_bytes: u64 = calls
        .lines()
        .filter_map(|line| line.rsplit("= ").next()?.parse::<u64>().ok())
        .sum();
    let size = fs::metadata(&file).expect("it was written").len();
    assert!(
        read_bytes > 0 && read_bytes < size / 2,
        "{read_bytes} of {size}: {calls}"
    );
    let large = File::options().write(true).open(&file);
    large
        .expect("it is there")
        .set_len(10 << 30)
        .expect("a sparse file");
    let (large, of_large) = read();
    assert_eq!(small, large);
    assert_eq!(
        calls.lines().count(),
        of_large.lines().count(),
        "{of_large}"
    );
}
