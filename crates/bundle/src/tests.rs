//! Bundles from end to end: planned, written, read and verified, whole, in parts and damaged.

mod attached;
mod parts;
mod signed;

use std::{
    collections::{HashMap, HashSet},
    error::Error,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    process::Command,
};

use crate::{
    Attached, Bundle, Catalog, Contents, Damage, Layout, Lock, Output, Place, Plan, PlanError,
    Presence, Selection, WriteError, verify, write,
};
use manifest_model::{Algorithm, Digest, Manifest, Platform};
use protocol::image_name::ImageName;
use tempfile::TempDir;

/// Blobs in a folder, manifests among them.
struct Store {
    folder: TempDir,
    manifests: HashMap<Digest, Manifest>,
    attached: HashMap<Digest, Vec<Attached>>,
}

impl Store {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            manifests: HashMap::new(),
            attached: HashMap::new(),
        }
    }

    fn blob(&self, bytes: &[u8]) -> String {
        let digest = Digest::of(Algorithm::Sha256, bytes);
        fs::write(self.folder.path().join(digest.hex()), bytes).unwrap();
        format!(r#""digest":"{digest}","size":{}"#, bytes.len())
    }

    fn put(&mut self, json: String) -> (Digest, String) {
        let place = self.blob(json.as_bytes());
        let manifest = Manifest::parse(json.into(), None, Algorithm::Sha256).unwrap();
        let digest = manifest.digest();
        self.manifests.insert(digest, manifest);
        (digest, place)
    }

    /// An image for one platform with one layer of `size` bytes.
    fn image(&mut self, platform: &str, size: usize) -> (Digest, String) {
        let config = self.blob(format!(r#"{{"config":"{platform}"}}"#).as_bytes());
        let layer = self.blob(
            platform
                .as_bytes()
                .repeat(size / platform.len() + 1)
                .get(..size)
                .unwrap(),
        );
        self.put(format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
            "config":{{"mediaType":"application/vnd.oci.image.config.v1+json",{config}}},
            "layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar",{layer}}}]}}"#
        ))
    }

    /// An index of `platforms`, each with an attestation.
    fn index(&mut self, platforms: &[&str], size: usize) -> Digest {
        let mut entries = Vec::new();
        for platform in platforms {
            let (digest, place) = self.image(platform, size);
            let (os, architecture) = platform.split_once('/').unwrap();
            entries.push(format!(
                r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json",{place},
                "platform":{{"os":"{os}","architecture":"{architecture}"}}}}"#
            ));
            let (_, place) = self.image(&format!("attestation/{platform}"), 100);
            entries.push(format!(
                r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json",{place},
                "platform":{{"os":"unknown","architecture":"unknown"}},
                "annotations":{{"vnd.docker.reference.type":"attestation-manifest",
                "vnd.docker.reference.digest":"{digest}"}}}}"#
            ));
        }
        let entries = entries.join(",");
        self.put(format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",
            "manifests":[{entries}]}}"#
        ))
        .0
    }
}

impl Contents for Store {
    fn open(&self, digest: &Digest) -> io::Result<File> {
        File::open(self.folder.path().join(digest.hex()))
    }
}

impl Catalog for Store {
    fn size(&self, digest: &Digest) -> Option<u64> {
        let metadata = fs::metadata(self.folder.path().join(digest.hex()));
        metadata.ok().map(|metadata| metadata.len())
    }

    fn platform(&self, image: &Manifest) -> Option<Platform> {
        let config = self.folder.path().join(image.config()?.digest.hex());
        let config = manifest_model::ImageConfig::parse(&fs::read(config).ok()?).ok()?;
        config.platform().cloned()
    }

    fn manifest(&self, digest: &Digest) -> Result<Option<Manifest>, Box<dyn Error + Send + Sync>> {
        Ok(self.manifests.get(digest).cloned())
    }

    fn attached(
        &self,
        _: &ImageName,
        subject: &Digest,
    ) -> Result<Vec<Attached>, Box<dyn Error + Send + Sync>> {
        Ok(self.attached.get(subject).cloned().unwrap_or_default())
    }
}

fn name(text: &str) -> ImageName {
    text.parse().unwrap()
}

fn platforms(names: &[&str]) -> Vec<Platform> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn selection(names: &[&str]) -> Selection {
    Selection {
        platforms: platforms(names),
        docker: platforms(names).into_iter().next(),
        ..Selection::default()
    }
}

/// The lock of an index for amd64 and arm64, of which `names` are carried.
fn lock_of(store: &mut Store, names: &[&str], size: usize) -> Lock {
    let index = store.index(&["linux/amd64", "linux/arm64"], size);
    let store = &*store;
    let mut plan = Plan::new(store, selection(names));
    plan.add(&name("docker.io/library/hello:1.0"), index, None)
        .unwrap();
    plan.finish("2026-11-28T00:00:00Z".to_owned(), None)
        .unwrap()
}

fn bytes_of(store: &Store, lock: &Lock) -> Vec<u8> {
    let mut bytes = Vec::new();
    let layout = Layout::new(&lock.to_bytes(), lock).unwrap();
    let mut output = Output::Pipe(&mut bytes);
    write(&layout, 0..layout.size(), store, &mut output, |_| ()).unwrap();
    assert_eq!(bytes.len() as u64, layout.size());
    bytes
}

fn damages(bytes: &[u8]) -> Result<Vec<Damage>, String> {
    let mut source = bytes;
    let bundle = Bundle::open(&mut source).map_err(|error| error.to_string())?;
    Ok(verify(&bundle, &mut source, |_| ()).unwrap())
}

#[test]
fn a_bundle_carries_the_chosen_platforms_and_names_what_it_leaves_out() {
    let mut store = Store::new();
    let lock = lock_of(&mut store, &["linux/arm64"], 5000);
    let bytes = bytes_of(&store, &lock);
    assert_eq!(damages(&bytes), Ok(Vec::new()));

    let bundle = Bundle::open(&mut bytes.as_slice()).unwrap();
    assert_eq!(bundle.lock(), &lock);
    assert_eq!(bundle.id(), Digest::of(Algorithm::Sha256, &lock.to_bytes()));
    assert_eq!(bundle.signature(), None);
    let children: Vec<String> = bundle.lock().images[0]
        .children
        .iter()
        .map(|child| format!("{} {:?}", child.platform.as_ref().unwrap(), child.presence))
        .collect();
    assert_eq!(
        children,
        [
            "linux/amd64 LeftOut",
            "unknown/unknown LeftOut",
            "linux/arm64 Here",
            "unknown/unknown Here"
        ]
    );
    // Index, image and attestation; their two configs and two layers.
    assert_eq!(lock.blobs.len(), 7);
}

#[test]
fn every_blob_begins_on_a_boundary_where_the_lock_says() {
    let mut store = Store::new();
    let lock = lock_of(&mut store, &["linux/amd64", "linux/arm64"], 5000);
    let bytes = bytes_of(&store, &lock);
    let layout = Layout::new(&lock.to_bytes(), &lock).unwrap();
    let first = layout.offset(&lock.blobs[0].digest).unwrap();
    for blob in &lock.blobs {
        let at = layout.offset(&blob.digest).unwrap();
        assert_eq!(at % 4096, 0);
        assert_eq!(blob.offset, Some(at - first));
        let at = usize::try_from(at).unwrap();
        let size = usize::try_from(blob.size).unwrap();
        assert_eq!(
            Digest::of(Algorithm::Sha256, &bytes[at..at + size]),
            blob.digest
        );
    }
}

#[test]
fn tar_lists_and_unpacks_a_bundle_as_an_oci_layout() {
    let mut store = Store::new();
    let lock = lock_of(&mut store, &["linux/amd64"], 5000);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("site.tar");
    fs::write(&file, bytes_of(&store, &lock)).unwrap();
    let tar = |arguments: &[&str]| {
        let mut tar = Command::new("tar");
        let output = tar.args(arguments).arg("-f").arg(&file).output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = tar(&["-t"]);
    let mut expected = vec![
        "oci-layout".to_owned(),
        "archway/lock.json".to_owned(),
        "archway/lock.json.sha256".to_owned(),
        "archway/lock.json.minisig".to_owned(),
        "index.json".to_owned(),
        "manifest.json".to_owned(),
    ];
    expected.extend(
        lock.blobs
            .iter()
            .map(|blob| format!("blobs/sha256/{}", blob.digest.hex())),
    );
    assert_eq!(listed.lines().collect::<Vec<_>>(), expected);

    tar(&["-x", "-C", folder.path().to_str().unwrap()]);
    let mut sha256sum = Command::new("sha256sum");
    let sums = sha256sum.args(["-c", "archway/lock.json.sha256"]);
    assert!(
        sums.current_dir(folder.path())
            .output()
            .unwrap()
            .status
            .success()
    );

    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("index.json")).unwrap()).unwrap();
    let image = &index["manifests"][0];
    assert_eq!(image["digest"], lock.images[0].digest.to_string());
    assert_eq!(
        image["annotations"]["io.containerd.image.name"],
        "docker.io/library/hello:1.0"
    );
    let docker: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("manifest.json")).unwrap()).unwrap();
    let config = docker[0]["Config"].as_str().unwrap();
    assert!(
        fs::read_to_string(folder.path().join(config))
            .unwrap()
            .contains("linux/amd64")
    );
}

#[test]
fn the_same_lock_makes_the_same_bytes_whole_resumed_and_in_parts() {
    let mut store = Store::new();
    let lock = lock_of(&mut store, &["linux/amd64", "linux/arm64"], 70_000);
    let whole = bytes_of(&store, &lock);
    let layout = Layout::new(&lock.to_bytes(), &lock).unwrap();

    let folder = TempDir::new().unwrap();
    let mut file = File::create_new(folder.path().join("resumed.tar")).unwrap();
    let cut = layout.size() / 3;
    for range in [0..cut, cut..layout.size()] {
        file.seek(SeekFrom::Start(range.start)).unwrap();
        write::<Vec<u8>>(&layout, range, &store, &mut Output::File(&file), |_| ()).unwrap();
    }
    assert!(fs::read(folder.path().join("resumed.tar")).unwrap() == whole);

    let part = layout.size() / 7;
    for start in (0..layout.size()).step_by(usize::try_from(part).unwrap()) {
        let range = start..(start + part).min(layout.size());
        let expected = &whole[usize::try_from(start).unwrap()..usize::try_from(range.end).unwrap()];
        let (mut bytes, mut counted) = (Vec::new(), 0);
        let mut output = Output::Pipe(&mut bytes);
        write(&layout, range, &store, &mut output, |more| counted += more).unwrap();
        assert!(bytes == expected);
        assert_eq!(counted, bytes.len() as u64);
    }
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let mut store = Store::new();
    let lock = lock_of(&mut store, &["linux/amd64"], 3000);
    let bytes = bytes_of(&store, &lock);
    let layout = Layout::new(&lock.to_bytes(), &lock).unwrap();
    let signature = usize::try_from(layout.signature_at()).unwrap();
    for at in (0..bytes.len()).step_by(37) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        if (signature..signature + 1024).contains(&at) {
            // A signature is judged by whoever has a key.
            continue;
        }
        let found = damages(&flipped);
        assert!(
            found.as_ref().map_or(true, |damages| !damages.is_empty()),
            "byte {at}"
        );
    }
}

#[test]
fn a_bundle_that_ends_early_is_refused_wherever_it_ends() {
    let mut store = Store::new();
    let lock = lock_of(&mut store, &["linux/amd64"], 3000);
    let bytes = bytes_of(&store, &lock);
    for length in (0..bytes.len()).step_by(211) {
        let found = damages(&bytes[..length]);
        let is_cut =
            |damages: &Vec<Damage>| matches!(damages.last(), Some(Damage::CutShort { .. }));
        assert!(found.as_ref().map_or(true, is_cut), "{length}: {found:?}");
    }
    let longer = [bytes.as_slice(), b"x"].concat();
    assert_eq!(damages(&longer), Ok(vec![Damage::Trailing]));
}

#[test]
fn a_tar_with_other_entries_is_no_bundle() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("evil.tar");
    std::os::unix::fs::symlink("/etc", folder.path().join("oci-layout")).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-cf").arg(&file).arg("-C").arg(folder.path());
    let status = tar.arg("oci-layout").status().unwrap();
    assert!(status.success());
    let error = Bundle::open(&mut File::open(&file).unwrap()).unwrap_err();
    assert!(
        error.to_string().contains("not an Archway bundle"),
        "{error}"
    );
}

#[test]
fn a_lock_that_claims_a_gigabyte_costs_nothing() {
    let mut store = Store::new();
    let lock = lock_of(&mut store, &["linux/amd64"], 100);
    let mut bytes = bytes_of(&store, &lock);
    // The size field of the lock's header, and its checksum.
    let header = 1024;
    bytes[header + 124..header + 135].copy_from_slice(b"10000000000");
    bytes[header + 148..header + 156].fill(b' ');
    let sum: u32 = bytes[header..header + 512]
        .iter()
        .map(|&byte| u32::from(byte))
        .sum();
    bytes[header + 148..header + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let error = Bundle::open(&mut bytes.as_slice()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the lock has 1073741824 bytes; at most 67108864 are read"
    );
}

#[test]
fn rot_in_the_store_does_not_leave_the_house() {
    let mut store = Store::new();
    let lock = lock_of(&mut store, &["linux/amd64"], 3000);
    let rotten = lock.blobs.last().unwrap().digest;
    let mut file = File::options();
    let mut file = file
        .write(true)
        .open(store.folder.path().join(rotten.hex()))
        .unwrap();
    file.write_all(b"!").unwrap();
    let layout = Layout::new(&lock.to_bytes(), &lock).unwrap();
    let mut bytes = Vec::new();
    let mut output = Output::Pipe(&mut bytes);
    let result = write(&layout, 0..layout.size(), &store, &mut output, |_| ());
    assert!(matches!(result, Err(WriteError::Damaged(digest)) if digest == rotten));
}

#[test]
fn a_delta_leaves_out_what_the_site_has_and_claims_no_image_for_other_tools() {
    let mut store = Store::new();
    let index = store.index(&["linux/amd64"], 5000);
    let full = {
        let mut plan = Plan::new(&store, selection(&["linux/amd64"]));
        plan.add(&name("a.test/team/app:1"), index, None).unwrap();
        plan.finish(String::new(), None).unwrap()
    };
    let layer = full.blobs.last().unwrap().digest;
    let mut delta = selection(&["linux/amd64"]);
    delta.base = HashSet::from([layer]);
    delta.requires = vec![Lock::id(&full.to_bytes())];
    let mut plan = Plan::new(&store, delta);
    plan.add(&name("a.test/team/app:1"), index, None).unwrap();
    let lock = plan.finish(String::new(), None).unwrap();

    assert_eq!(lock.blobs.len(), full.blobs.len());
    let left_out: Vec<_> = lock
        .blobs
        .iter()
        .filter(|blob| blob.place == Place::Base)
        .collect();
    assert_eq!(left_out.len(), 1);
    assert_eq!((left_out[0].digest, left_out[0].offset), (layer, None));
    assert!(!lock.images[0].whole);
    let bytes = bytes_of(&store, &lock);
    assert_eq!(damages(&bytes), Ok(Vec::new()));
    let text = String::from_utf8_lossy(&bytes);
    assert!(
        text.contains(r#""manifests":[]"#),
        "index.json lists nothing"
    );
}

#[test]
fn what_is_attached_travels_with_what_is_attached_to_it() {
    let mut store = Store::new();
    let index = store.index(&["linux/amd64"], 100);
    let (signature, _) = store.image("signature/of-index", 64);
    let (of_signature, _) = store.image("signature/of-signature", 64);
    let attached = |digest, subject| Attached {
        digest,
        kind: "application/vnd.dev.cosign.simplesigning.v1+json".to_owned(),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        subject,
        tag: Some(format!("sha256-{}.sig", subject.hex()).parse().unwrap()),
    };
    store
        .attached
        .insert(index, vec![attached(signature, index)]);
    store
        .attached
        .insert(signature, vec![attached(of_signature, signature)]);
    let mut plan = Plan::new(&store, selection(&["linux/amd64"]));
    plan.add(&name("a.test/team/app:1"), index, None).unwrap();
    let lock = plan.finish(String::new(), None).unwrap();
    let digests: Vec<Digest> = lock.images[0]
        .attached
        .iter()
        .map(|one| one.digest)
        .collect();
    assert_eq!(digests, [signature, of_signature]);
    assert!(lock.images[0].whole);
    assert_eq!(damages(&bytes_of(&store, &lock)), Ok(Vec::new()));
}

#[test]
fn a_platform_that_an_image_lacks_ends_the_plan_with_those_it_has() {
    let mut store = Store::new();
    let index = store.index(&["linux/amd64", "linux/arm64"], 100);
    let mut plan = Plan::new(&store, selection(&["linux/s390x"]));
    let error = plan
        .add(&name("a.test/team/app:1"), index, None)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "a.test/team/app:1 has no manifest for linux/s390x; it has linux/amd64, linux/arm64"
    );
    store.manifests.clear();
    let mut plan = Plan::new(&store, selection(&["linux/amd64"]));
    let error = plan
        .add(&name("a.test/team/app:1"), index, None)
        .unwrap_err();
    assert!(matches!(error, PlanError::NotStored { digest, .. } if digest == index));
}

#[test]
fn a_source_that_fails_to_read_is_an_error_of_its_own() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the stick was pulled out"))
        }
    }
    let error = Bundle::open(&mut Broken).unwrap_err();
    let chain = protocol::error_chain::ErrorChain(&error).to_string();
    assert_eq!(chain, "cannot read the bundle: the stick was pulled out");
}

#[test]
fn each_platform_is_looked_for_where_it_was_chosen() {
    let mut store = Store::new();
    let nested = store.index(&["linux/arm64"], 100);
    let nested_size = store.manifests[&nested].bytes().len();
    let (_, amd64) = store.image("linux/amd64", 100);
    let (top, _) = store.put(format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[
        {{"mediaType":"application/vnd.oci.image.manifest.v1+json",{amd64},
        "platform":{{"os":"linux","architecture":"amd64"}}}},
        {{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"{nested}",
        "size":{nested_size},"platform":{{"os":"linux","architecture":"arm64"}}}}]}}"#
    ));
    let mut plan = Plan::new(&store, selection(&["linux/amd64", "linux/arm64"]));
    plan.add(&name("a.test/team/app:1"), top, None).unwrap();
    let lock = plan.finish(String::new(), None).unwrap();
    // Two indexes, two images, an attestation; a config and a layer of each of the three.
    assert_eq!(lock.blobs.len(), 11);
    assert_eq!(damages(&bytes_of(&store, &lock)), Ok(Vec::new()));
}

#[test]
fn an_attestation_that_nobody_pulled_is_left_out() {
    let mut store = Store::new();
    let index = store.index(&["linux/amd64"], 100);
    let attestation = store.manifests[&index].entries()[1].digest;
    store.manifests.remove(&attestation);
    let mut plan = Plan::new(&store, selection(&["linux/amd64"]));
    plan.add(&name("a.test/team/app:1"), index, None).unwrap();
    let lock = plan.finish(String::new(), None).unwrap();
    let presence: Vec<_> = lock.images[0]
        .children
        .iter()
        .map(|child| child.presence)
        .collect();
    assert_eq!(presence, [Presence::Here, Presence::LeftOut]);
}

#[test]
fn a_layer_that_is_not_stored_ends_the_plan_and_not_the_writing() {
    let mut store = Store::new();
    let lock = lock_of(&mut store, &["linux/amd64"], 3000);
    let layer = lock.blobs.last().unwrap().digest;
    fs::remove_file(store.folder.path().join(layer.hex())).unwrap();
    let mut plan = Plan::new(&store, selection(&["linux/amd64"]));
    let image = &lock.images[0];
    let error = plan.add(&image.name, image.digest, None).unwrap_err();
    assert!(
        matches!(error, PlanError::NotStored { digest, .. } if digest == layer),
        "{error}"
    );
}

#[test]
fn a_blob_at_the_end_of_a_cut_file_is_written_again() {
    let mut store = Store::new();
    // Without padding after it, a blob that was never checked looks like a whole entry.
    let lock = lock_of(&mut store, &["linux/amd64"], 4096);
    let layout = Layout::new(&lock.to_bytes(), &lock).unwrap();
    let (_, size, at) = layout.carried().find(|(_, size, _)| *size == 4096).unwrap();
    assert!(layout.whole_until(at + size) < at);
    assert_eq!(layout.whole_until(at + size + 1), at + size);
}
