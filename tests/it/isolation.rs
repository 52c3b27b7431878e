//! Promise 8, nobody poisons anybody: what one repository, upstream or client did opens nothing to
//! another.

use http::Method;
use integration_tests::client::blob_path;
use integration_tests::faults::{Fault, On};
use integration_tests::images::{
    self, Content, DOCKER_LIST, DOCKER_MANIFEST, Flavor, OCI_INDEX, OCI_MANIFEST, Stored,
};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;

#[tokio::test]
async fn a_blob_of_one_repository_is_not_readable_through_another() {
    let secret = images::single("secret", "linux/amd64", Flavor::Oci);
    let public = images::single("public", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/secret", "v1", &secret).await;
    registry.push("team/public", "v1", &public);
    let archway = Setup::in_front_of(&registry).start().await;
    archway.client().pull("team/secret", "v1").await;
    archway.client().pull("team/public", "v1").await;
    for blob in &secret.blobs {
        let path = blob_path("team/public", blob.digest());
        for _ in 0..2 {
            let answer = archway.client().get(&path).await.expect(404);
            assert_eq!(answer.error_code(), "BLOB_UNKNOWN");
            assert_eq!(archway.client().head(&path).await.status, 404);
        }
    }
    let root = secret.root().digest;
    let answer = archway
        .client()
        .manifest("team/public", root)
        .await
        .expect(404);
    assert_eq!(answer.error_code(), "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn a_blob_is_readable_through_another_repository_once_the_upstream_confirms() {
    let content = images::single("shared", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/first", "v1", &content).await;
    registry.push("team/second", "v1", &content);
    let archway = Setup::in_front_of(&registry).start().await;
    archway.client().pull("team/first", "v1").await;
    let blob = &content.blobs[1];
    let asked = registry.gets_of(&blob.digest());
    let path = blob_path("team/second", blob.digest());
    archway.client().get(&path).await.expect(200);
    assert!(
        registry.gets_of(&blob.digest()) > asked,
        "the upstream is asked"
    );
    registry.close().await;
    archway.client().get(&path).await.expect(200);
}

/// Some redirect whatever they are asked for, as `registry.k8s.io` does with blobs, or to a page to
/// log in.
#[tokio::test]
async fn a_redirect_alone_confirms_no_blob() {
    let secret = images::single("secret", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/secret", "v1", &secret).await;
    let elsewhere = FakeRegistry::with("team/public", "v1", &secret).await;
    let archway = Setup::in_front_of(&registry).start().await;
    archway.client().pull("team/secret", "v1").await;
    let blob = &secret.blobs[1];
    let path = blob_path("team/public", blob.digest());
    for target in [blob_path("team/none", blob.digest()), "/v2/".to_owned()] {
        let redirect = Fault::Redirect(elsewhere.url() + &target);
        registry.faults().clear();
        registry
            .faults()
            .add(On::path("/v2/team/public/blobs/"), redirect);
        for method in [Method::GET, Method::HEAD] {
            let answer = archway.client().send(method, &path).await;
            // It is stored, so it exists; whether it may be read here is what could not be learned.
            assert_eq!(answer.status, 503, "{target}");
        }
    }
    let redirect = Fault::Redirect(elsewhere.url() + &path);
    registry.faults().clear();
    registry
        .faults()
        .add(On::path("/v2/team/public/blobs/"), redirect);
    archway.client().get(&path).await.expect(200);
    let asked = elsewhere.log().of(&Method::GET, &*path);
    assert_eq!(asked[0].header("range"), "bytes=0-0");
}

#[tokio::test]
async fn a_manifest_that_links_a_blob_opens_it_without_another_download() {
    let content = images::single("shared", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/first", "v1", &content).await;
    registry.push("team/second", "v1", &content);
    let archway = Setup::in_front_of(&registry).start().await;
    archway.client().pull("team/first", "v1").await;
    archway.client().pull("team/second", "v1").await;
    for blob in &content.blobs {
        let digest = blob.digest();
        assert_eq!(
            registry.bytes_of(&digest),
            blob.size(),
            "one download of {digest}"
        );
    }
}

/// `a.test` has an image. `b.test` has manifests that name its parts, and none of the parts.
async fn named_by_another() -> (Content, FakeRegistry, FakeRegistry, Archway) {
    let secret = images::multi_platform("secret");
    let owner = FakeRegistry::with("team/secret", "v1", &secret).await;
    let index_alone = Content {
        manifests: vec![secret.root().clone()],
        blobs: Vec::new(),
    };
    let image_alone = Content {
        manifests: vec![secret.manifests[0].clone()],
        blobs: Vec::new(),
    };
    let thief = FakeRegistry::with("evil/index", "v1", &index_alone).await;
    thief.push("evil/image", "v1", &image_alone);
    let archway = Setup::new()
        .upstream("a.test", &owner)
        .upstream("b.test", &thief)
        .start()
        .await;
    let client = archway.client();
    for manifest in &secret.manifests {
        let answer = client.manifest("a.test/team/secret", manifest.digest).await;
        answer.expect(200);
    }
    for blob in &secret.blobs {
        client
            .blob("a.test/team/secret", blob.digest())
            .await
            .expect(200);
        archway.stores(&blob.digest()).await;
    }
    for name in ["b.test/evil/index", "b.test/evil/image"] {
        client.manifest(name, "v1").await.expect(200);
    }
    (secret, owner, thief, archway)
}

/// The paths below `b.test` of all that only `a.test` has and a manifest there names.
fn stolen(secret: &Content) -> Vec<String> {
    let own = [secret.root().digest, secret.manifests[0].digest];
    let children = secret
        .manifests
        .iter()
        .filter(|one| !own.contains(&one.digest));
    let children = children.map(|one| format!("/v2/b.test/evil/index/manifests/{}", one.digest));
    let named = String::from_utf8_lossy(&secret.manifests[0].bytes).into_owned();
    let blobs = secret
        .blobs
        .iter()
        .filter(|blob| named.contains(&blob.digest().to_string()));
    let blobs = blobs.map(|blob| blob_path("b.test/evil/image", blob.digest()));
    children.chain(blobs).collect()
}

#[tokio::test]
async fn a_manifest_that_names_what_another_upstream_brought_does_not_open_it() {
    let (secret, owner, _thief, archway) = named_by_another().await;
    let paths = stolen(&secret);
    assert!(paths.len() > 2, "{paths:?}");
    let archway = {
        for path in &paths {
            for _ in 0..2 {
                assert_eq!(archway.client().get(path).await.status, 404, "{path}");
                assert_eq!(archway.client().head(path).await.status, 404, "{path}");
            }
        }
        archway.restart().await
    };
    for path in &paths {
        assert_eq!(
            archway.client().get(path).await.status,
            404,
            "{path} after a restart"
        );
    }
    owner.close().await;
    for blob in &secret.blobs {
        archway
            .client()
            .blob("a.test/team/secret", blob.digest())
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn what_cannot_be_confirmed_now_is_trouble_and_not_absence() {
    let (secret, _owner, thief, archway) = named_by_another().await;
    thief.close().await;
    for path in stolen(&secret) {
        for _ in 0..2 {
            assert_eq!(archway.client().get(&path).await.status, 503, "{path}");
            assert_eq!(archway.client().head(&path).await.status, 503, "{path}");
        }
    }
}

#[tokio::test]
async fn bytes_that_another_upstream_brought_take_one_small_question_per_repository() {
    let content = images::single("shared", "linux/amd64", Flavor::Oci);
    let first = FakeRegistry::with("team/app", "v1", &content).await;
    let second = FakeRegistry::with("team/one", "v1", &content).await;
    second.push("team/two", "v1", &content);
    let archway = Setup::new()
        .upstream("a.test", &first)
        .upstream("b.test", &second)
        .start()
        .await;
    let pulled = archway.client().pull("a.test/team/app", "v1").await;
    archway.stores_all(&pulled).await;
    for _ in 0..3 {
        for name in ["b.test/team/one", "b.test/team/two"] {
            archway.client().pull(name, "v1").await;
        }
    }
    for blob in &content.blobs {
        let asked = second.log().of(&Method::GET, blob.digest());
        assert_eq!(asked.len(), 2, "one question for each repository");
        assert!(
            asked
                .iter()
                .all(|entry| entry.header("range") == "bytes=0-0")
        );
    }
    second.close().await;
    let one = archway
        .client()
        .blob("b.test/team/one", content.blobs[0].digest())
        .await;
    one.expect(200);
}

#[tokio::test]
async fn two_upstreams_with_the_same_repository_do_not_mix() {
    let here = images::single("here", "linux/amd64", Flavor::Oci);
    let there = images::single("there", "linux/amd64", Flavor::Oci);
    let first = FakeRegistry::with("team/app", "v1", &here).await;
    let second = FakeRegistry::with("team/app", "v1", &there).await;
    let archway = Setup::new()
        .upstream("first.test", &first)
        .upstream("second.test", &second)
        .start()
        .await;
    archway.client().pull("first.test/team/app", "v1").await;
    let pulled = archway.client().pull("second.test/team/app", "v1").await;
    assert_eq!(pulled.root, there.root().digest);
    let path = blob_path("second.test/team/app", here.blobs[1].digest());
    archway.client().get(&path).await.expect(404);
    let path = format!("/v2/second.test/team/app/manifests/{}", here.root().digest);
    archway.client().get(&path).await.expect(404);
}

/// What names no type of its own is OCI's: Docker's must name theirs.
#[tokio::test]
async fn the_type_an_upstream_gives_to_bytes_does_not_change_anothers_answer() {
    let image = r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;
    for (bytes, own, wrong) in [
        (r#"{"manifests":[]}"#, OCI_INDEX, DOCKER_LIST),
        (image, OCI_MANIFEST, DOCKER_MANIFEST),
        (image, OCI_MANIFEST, "text/html"),
    ] {
        let typed = |media_type| Content {
            manifests: vec![Stored::new(media_type, bytes)],
            blobs: Vec::new(),
        };
        let right = FakeRegistry::with("team/app", "v1", &typed(own)).await;
        let lying = FakeRegistry::with("team/app", "v1", &typed(wrong)).await;
        let mut archway = Setup::new()
            .upstream("right.test", &right)
            .upstream("lying.test", &lying)
            .start()
            .await;
        for round in 0..3 {
            for host in ["lying.test", "right.test"] {
                let answer = archway
                    .client()
                    .manifest(&format!("{host}/team/app"), "v1")
                    .await;
                let said = answer.expect(200).header("content-type").to_owned();
                assert_eq!(said, own, "{wrong} at {host} in round {round}");
            }
            if round == 1 {
                archway = archway.restart().await;
            }
        }
    }
}

#[tokio::test]
async fn a_repository_that_the_upstream_closed_is_trouble_and_not_absence() {
    use integration_tests::faults::{Fault, On};
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let denied = Fault::Status(http::StatusCode::FORBIDDEN);
    registry.faults().add(On::path("/blobs/"), denied);
    let blob = content.blobs[0].digest();
    let answer = archway.client().blob("team/app", blob).await;
    assert!(answer.status != 404 && answer.status != 401 && !answer.status.is_success());
    registry.faults().clear();
    archway.client().blob("team/app", blob).await.expect(200);
}
