//! Caches and indexes for the tests of the inventory.

use cache::Cache;
use manifest_model::{Algorithm, Digest, Manifest};
use tempfile::TempDir;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(super) fn cache() -> (Cache, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let options = cache::Options {
        path: folder.path().into(),
        max_size: 1 << 30,
        low_water: 1 << 30,
        min_free: 0,
        anew: false,
        max_open_files: 1,
    };
    (Cache::open(&options).unwrap(), folder)
}

/// An index of entries for these architectures; `name` makes its digest differ from others.
pub(super) fn index(name: &str, entries: &[(Digest, &str)]) -> Manifest {
    let entry = |(digest, architecture): &(Digest, &str)| {
        format!(
            r#"{{"mediaType":"{INDEX}","digest":"{digest}","size":1,"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#
        )
    };
    let entries: Vec<_> = entries.iter().map(entry).collect();
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}],"annotations":{{"name":"{name}"}}}}"#,
        entries.join(",")
    );
    Manifest::parse(text.into(), None, Algorithm::Sha256).unwrap()
}

pub(super) async fn store(cache: &Cache, manifest: &Manifest, tag: Option<&str>) -> Digest {
    let repository = "registry.example/app".parse().unwrap();
    let tag = tag.map(|tag| tag.parse().unwrap());
    let stored = cache.store_manifest(&repository, manifest, tag.as_ref());
    stored.await.unwrap();
    manifest.digest()
}
