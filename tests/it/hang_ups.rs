//! Servers that hang up before their answer begins: whoever they are and however they do it, the
//! question is asked once more, and no client notices.

use std::net::SocketAddr;

use integration_tests::auth::{Auth, EcrToken, Expired, TokenService};
use integration_tests::aws::{ECR_HOST, EcrApi};
use integration_tests::client::{End, blob_path};
use integration_tests::dead_end::DeadEnd;
use integration_tests::faults::{Cut, Fault, On};
use integration_tests::images::{self, BigBlob, Blob, Flavor};
use integration_tests::proxy::{Archway, Setup, UPSTREAM};
use integration_tests::registry::FakeRegistry;
use integration_tests::tls_front::{Authority, TlsFront};

const CUTS: [Cut; 2] = [Cut::Fin, Cut::Rst];

async fn registry() -> FakeRegistry {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    FakeRegistry::with("team/app", "v1", &content).await
}

/// An Archway whose upstream is at this address.
async fn behind(url: String, lines: &str) -> Archway {
    Setup::new()
        .top(&format!("default_upstream = \"{UPSTREAM}\""))
        .upstream_at(UPSTREAM, &[url], lines)
        .start()
        .await
}

fn hanging_up(how: Cut, behind: SocketAddr) -> (DeadEnd, String) {
    let front = DeadEnd::at_first(how, behind);
    let url = format!("http://{}", front.address());
    (front, url)
}

#[tokio::test]
async fn a_registry_that_hangs_up_is_asked_again() {
    for how in CUTS {
        let registry = registry().await;
        let (_front, url) = hanging_up(how, registry.address());
        let archway = behind(url, "").await;
        archway.client().pull("team/app", "v1").await;
    }
}

#[tokio::test]
async fn a_registry_that_ends_tls_without_an_alert_is_asked_again() {
    let (registry, authority) = (registry().await, Authority::new());
    let front = TlsFront::hanging_up(&authority, "127.0.0.1", registry.address()).await;
    let ca = format!("ca_file = \"{}\"", authority.ca_file().display());
    let archway = behind(front.url(), &ca).await;
    archway.client().pull("team/app", "v1").await;
}

#[tokio::test]
async fn a_store_that_hangs_up_is_asked_again() {
    for how in CUTS {
        let registry = registry().await;
        let blob = images::single("app", "linux/amd64", Flavor::Oci).blobs[0].digest();
        let (_front, url) = hanging_up(how, registry.address());
        let to = format!("{url}/v2/team/app/blobs/{blob}");
        registry
            .faults()
            .times(1, On::path("/blobs/"), Fault::Redirect(to));
        let archway = Setup::in_front_of(&registry).start().await;
        archway.client().blob("team/app", blob).await.expect(200);
    }
}

#[tokio::test]
async fn a_realm_that_hangs_up_is_asked_again() {
    for how in CUTS {
        let tokens = TokenService::start(None).await;
        let (registry, _) = FakeRegistry::with_app_for(Auth::Bearer(tokens.clone())).await;
        let (_front, url) = hanging_up(how, tokens.address());
        tokens.word(|words| words.realm = Some(url));
        let archway = Setup::in_front_of(&registry).start().await;
        archway.client().pull("team/app", "v1").await;
        assert_eq!(tokens.log().all().len(), 1);
    }
}

#[tokio::test]
async fn an_api_of_aws_that_hangs_up_is_asked_again() {
    for how in CUTS {
        let token = EcrToken::new(Expired::Forbidden);
        let (registry, _) = FakeRegistry::with_app_for(Auth::Ecr(token.clone())).await;
        let api = EcrApi::start(token).await;
        let (_front, url) = hanging_up(how, api.address());
        let lines =
            format!("auth = {{ ecr = {{ endpoint = \"{url}\", region = \"us-east-1\" }} }}");
        let archway = Setup::in_front_of_as(ECR_HOST, &registry, &lines)
            .aws_credentials()
            .start()
            .await;
        archway.client().pull("team/app", "v1").await;
        assert_eq!(api.calls(), 1);
    }
}

#[tokio::test]
async fn a_body_without_a_length_may_end_without_an_alert_if_its_digest_is_right() {
    const SIZE: usize = 200_000;
    let blob = Blob::from(BigBlob::new("no end", SIZE as u64));
    let authority = Authority::new();
    let ca = format!("ca_file = \"{}\"", authority.ca_file().display());
    let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    let mut body = Vec::new();
    while body.len() < SIZE {
        body.extend_from_slice(&blob.piece(body.len() as u64, (SIZE - body.len()) as u64));
    }
    for (length, is_whole) in [(SIZE, true), (SIZE - 1, false)] {
        let answer = [&head[..], &body[..length]].concat();
        let front = TlsFront::saying(&authority, "127.0.0.1", answer).await;
        let archway = behind(front.url(), &ca).await;
        let path = blob_path("team/app", blob.digest());
        let download = archway.client().open(http::Method::GET, &path).await;
        let (end, is_right) = download.finish_unsure(&blob).await;
        let came = end == End::Complete(SIZE as u64) && is_right;
        assert_eq!(came, is_whole, "{length}: {end:?}");
    }
}
