//! Below HTTP: trust, identity, versions and addresses.

use http::{Method, Version};
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, Flavor};
use integration_tests::proxy::{Setup, UPSTREAM};
use integration_tests::registry::{Blobs, FakeRegistry};
use integration_tests::tls_front::{Authority, Clients, TlsFront};

async fn registry() -> FakeRegistry {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    FakeRegistry::with("team/app", "v1", &content).await
}

fn behind(url: String, lines: &str) -> Setup {
    Setup::new()
        .top(&format!("default_upstream = \"{UPSTREAM}\""))
        .upstream_at(UPSTREAM, &[url], lines)
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_offered() {
    let (registry, authority) = (registry().await, Authority::new());
    let front = TlsFront::start(&authority, "127.0.0.1", Clients::Any, registry.address()).await;
    let lines = format!("ca_file = \"{}\"", authority.ca_file().display());
    let archway = behind(front.url(), &lines).start().await;
    archway.client().pull("team/app", "v1").await;
    let all = registry.log().all();
    assert!(!all.is_empty());
    assert!(all.iter().all(|entry| entry.version == Version::HTTP_2));
}

#[tokio::test]
async fn an_upstream_that_asks_for_a_certificate_gets_the_configured_one() {
    let (registry, authority) = (registry().await, Authority::new());
    let front = TlsFront::start(&authority, "127.0.0.1", Clients::Known, registry.address()).await;
    let ca = format!("ca_file = \"{}\"", authority.ca_file().display());
    let archway = behind(front.url(), &ca).start().await;
    let answer = archway.client().manifest("team/app", "v1").await;
    assert!(answer.status.is_server_error(), "{}", answer.status);

    let (certificate, key) = authority.files_for("archway.test");
    let lines = format!(
        "{ca}\nclient_cert_file = \"{}\"\nclient_key_file = \"{}\"",
        certificate.display(),
        key.display()
    );
    let archway = behind(front.url(), &lines).start().await;
    archway.client().pull("team/app", "v1").await;
}

#[tokio::test]
async fn an_upstream_may_be_at_an_ipv6_address() {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::start_at("[::1]:0".parse().expect("an address")).await;
    registry.push("team/app", "v1", &content);
    let archway = Setup::in_front_of(&registry).start().await;
    archway.client().pull("team/app", "v1").await;
}

#[tokio::test]
async fn a_metadata_address_is_followed_by_nobody_and_nothing_is_told_of_signed_urls() {
    let registry = registry().await;
    let archway = Setup::in_front_of(&registry)
        .log_level("debug")
        .start()
        .await;
    registry.quirks(|quirks| quirks.blobs = Blobs::Redirected);
    archway.client().pull("team/app", "v1").await;
    let place = "http://169.254.169.254/latest/?X-Amz-Signature=signed-canary";
    registry
        .faults()
        .add(On::all(), Fault::Redirect(place.to_owned()));
    let answer = archway
        .client()
        .manifest("team/app", "v2")
        .await
        .expect(502);
    assert_eq!(answer.error_code(), "UNAVAILABLE");
    let text = archway.log().text() + &archway.admin().get("/metrics").await.text();
    assert!(
        !text.contains("X-Amz-Signature") && !text.contains("signed-"),
        "a URL's query is told"
    );
}

#[tokio::test]
async fn a_url_that_expires_in_mid_blob_is_asked_for_again() {
    use integration_tests::client::{End, blob_path};
    use integration_tests::faults::{Cut, Gate};
    use integration_tests::images::{BigBlob, Blob};

    let blob = Blob::from(BigBlob::new("expires", 400_000));
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(&blob)).await;
    registry.quirks(|quirks| quirks.blobs = Blobs::Redirected);
    let archway = Setup::in_front_of(&registry).start().await;
    let gate = Gate::new();
    let store = On::path("/layers/");
    registry
        .faults()
        .times(1, store.clone(), Fault::HoldBody(200_000, gate.clone()));
    registry
        .faults()
        .times(1, store, Fault::Cut(200_000, Cut::Fin));
    let path = blob_path("team/app", blob.digest());
    let mut download = archway.client().open(Method::GET, &path).await;
    download.read_to(100_000, &blob, 0).await;
    registry.expire_urls();
    gate.open();
    assert_eq!(download.finish(&blob).await, End::Complete(400_000));
    assert_eq!(
        registry.gets_of(&blob.digest()),
        2,
        "a fresh URL for the rest"
    );
}
