//! Statuses keep their meaning: only some say "you may not", some say "ask again", and those of the
//! referrers API say "not supported".

use http::StatusCode;
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, Content, Flavor};
use integration_tests::proxy::{Archway, Setup, UPSTREAM};
use integration_tests::registry::FakeRegistry;

async fn one_image() -> (FakeRegistry, Archway, Content) {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    (registry, archway, content)
}

fn status(code: u16) -> Fault {
    Fault::Status(StatusCode::from_u16(code).expect("a status"))
}

#[tokio::test]
async fn a_registry_without_the_referrers_api_may_say_so_by_any_status() {
    for code in [400, 405, 406, 501] {
        let (registry, archway, content) = one_image().await;
        registry.faults().add(On::path("/referrers/"), status(code));
        let client = archway.client();
        let path = format!("/v2/team/app/referrers/{}", content.root().digest);
        // More of them than errors that take an endpoint down.
        for _ in 0..6 {
            let answer = client.get(&path).await;
            assert_eq!(answer.status, 404, "{code}: {}", answer.text());
            assert_eq!(answer.error_code(), "UNSUPPORTED", "{code}");
        }
        client.manifest("team/app", "v1").await.expect(200);
    }
}

#[tokio::test]
async fn a_request_that_an_upstream_does_not_take_is_its_trouble_and_nobodys_lack_of_rights() {
    for code in [400, 405, 406, 418] {
        let (registry, archway, content) = one_image().await;
        registry.faults().add(On::all(), status(code));
        let blob = content.blobs[0].digest();
        for path in [
            "/v2/team/app/manifests/v1".to_owned(),
            format!("/v2/team/app/blobs/{blob}"),
            "/v2/team/app/tags/list".to_owned(),
        ] {
            let answer = archway.client().get(&path).await;
            assert_eq!(answer.status, 502, "{code} {path}: {}", answer.text());
            assert_eq!(answer.error_code(), "UNAVAILABLE", "{code} {path}");
        }
        archway
            .log()
            .says(&format!("does not take the request ({code})"))
            .await;
        assert!(!archway.log().text().contains("refused us"), "{code}");
    }
}

#[tokio::test]
async fn what_asks_to_be_asked_again_is_asked_again_once() {
    for code in [408, 421, 425] {
        let (registry, archway, _) = one_image().await;
        registry.faults().times(1, On::all(), status(code));
        archway.client().pull("team/app", "v1").await;

        let (registry, archway, _) = one_image().await;
        registry.faults().add(On::all(), status(code));
        let answer = archway.client().manifest("team/app", "v1").await;
        assert_eq!(answer.status, 502, "{code}: {}", answer.text());
        assert_eq!(registry.log().all().len(), 2, "{code}");
    }
}

#[tokio::test]
async fn one_error_of_a_registry_is_not_noticed_by_a_client_that_has_nothing() {
    for code in [500, 502, 503, 504] {
        let (registry, archway, _) = one_image().await;
        for part in ["/manifests/", "/blobs/"] {
            registry.faults().times(1, On::path(part), status(code));
        }
        archway.client().pull("team/app", "v1").await;

        let (registry, archway, _) = one_image().await;
        registry.faults().add(On::all(), status(code));
        let answer = archway.client().manifest("team/app", "v1").await;
        assert_eq!(answer.status, 502, "{code}: {}", answer.text());
        assert_eq!(registry.log().all().len(), 2, "{code}");
    }
}

#[tokio::test]
async fn an_error_costs_nothing_where_another_endpoint_exists() {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let first = FakeRegistry::with("team/app", "v1", &content).await;
    let second = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::new()
        .top(&format!("default_upstream = \"{UPSTREAM}\""))
        .upstream_at(UPSTREAM, &[first.url(), second.url()], "")
        .start()
        .await;
    first.faults().add(On::all(), status(503));
    archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(200);
    assert_eq!(first.log().all().len(), 1);
}
