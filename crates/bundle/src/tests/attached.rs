//! What is attached: which of it travels, and where other tools see it.

use super::*;
use crate::{AttachedScope, IndexContent};

const SIGNATURE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SBOM: &str = "application/spdx+json";

/// An image with a signature and an SBOM, which has a signature of its own.
fn signed(store: &mut Store) -> (Digest, [Digest; 3]) {
    let index = store.index(&["linux/amd64"], 100);
    let names = ["signature", "sbom", "signature/of-sbom"];
    let [signature, sbom, nested] = names.map(|name| store.image(name, 64).0);
    let attached = |digest, kind: &str, subject| Attached {
        digest,
        kind: kind.to_owned(),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        subject,
        tag: None,
    };
    let on_index = vec![
        attached(signature, SIGNATURE, index),
        attached(sbom, SBOM, index),
    ];
    store.attached.insert(index, on_index);
    let on_sbom = vec![attached(nested, SIGNATURE, sbom)];
    store.attached.insert(sbom, on_sbom);
    (index, [signature, sbom, nested])
}

fn plan_of(store: &Store, index: Digest, selection: Selection) -> Result<Lock, PlanError> {
    let mut plan = Plan::new(store, selection);
    plan.add(&name("a.test/team/app:1"), index, None)?;
    plan.finish(String::new(), None)
}

#[test]
fn the_scope_says_what_of_the_attached_travels() {
    let mut store = Store::new();
    let (index, [signature, sbom, nested]) = signed(&mut store);
    for (scope, expected) in [
        (AttachedScope::All, vec![signature, sbom, nested]),
        (AttachedScope::Signatures, vec![signature]),
        (AttachedScope::None, vec![]),
    ] {
        let selection = Selection {
            attached: scope,
            ..selection(&["linux/amd64"])
        };
        let lock = plan_of(&store, index, selection).unwrap();
        let attached = lock.images[0].attached.iter();
        let digests: Vec<_> = attached.map(|one| one.digest).collect();
        assert_eq!(digests, expected, "{scope:?}");
    }
}

#[test]
fn an_image_without_a_signature_ends_the_plan_where_one_is_required() {
    let mut store = Store::new();
    let (index, _) = signed(&mut store);
    let required = || Selection {
        require_signatures: true,
        ..selection(&["linux/amd64"])
    };
    plan_of(&store, index, required()).unwrap();
    // A signature of the one image that is carried is as good.
    let image = store.manifests[&index].entries()[0].digest;
    let of_index = store.attached.remove(&index).unwrap();
    let of_image = |one: &Attached| Attached {
        subject: image,
        ..one.clone()
    };
    let moved = of_index.iter().map(of_image).collect();
    store.attached.insert(image, moved);
    plan_of(&store, index, required()).unwrap();
    store.attached.remove(&image);
    let error = plan_of(&store, index, required()).unwrap_err();
    assert!(matches!(error, PlanError::Unsigned { .. }), "{error}");
}

#[test]
fn the_attached_are_listed_for_other_tools_on_request_alone_and_without_a_name() {
    let mut store = Store::new();
    let (index, digests) = signed(&mut store);
    for (content, count) in [(IndexContent::Images, 1), (IndexContent::All, 4)] {
        let selection = Selection {
            index: content,
            ..selection(&["linux/amd64"])
        };
        let lock = plan_of(&store, index, selection).unwrap();
        let listed: serde_json::Value =
            serde_json::from_slice(&crate::documents::index(&lock)).unwrap();
        let listed = listed["manifests"].as_array().unwrap();
        assert_eq!(listed.len(), count);
        for (entry, digest) in listed[1..].iter().zip(digests) {
            assert_eq!(entry["digest"], digest.to_string());
            let annotations = entry["annotations"].as_object().unwrap();
            let keys: Vec<_> = annotations.keys().collect();
            assert_eq!(keys, ["io.containerd.manifest.subject"]);
        }
    }
}
