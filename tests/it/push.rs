//! Archway is read-only: whoever pushes is told where to push to.

use http::Method;
use integration_tests::images;
use integration_tests::proxy::Setup;
use integration_tests::registry::FakeRegistry;

#[tokio::test]
async fn a_push_is_refused_with_the_name_of_the_registry_to_push_to() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let blob = content.blobs[0].digest();
    let paths = [
        "/v2/team/app/blobs/uploads/".to_owned(),
        "/v2/team/app/blobs/uploads/0a1b".to_owned(),
        "/v2/team/app/manifests/v2".to_owned(),
        format!("/v2/team/app/blobs/{blob}"),
        "/v2/registry.test/team/app/blobs/uploads/".to_owned(),
        "/registry.test/v2/team/app/manifests/v2".to_owned(),
    ];
    for method in [Method::PUT, Method::POST, Method::PATCH, Method::DELETE] {
        for path in &paths {
            let answer = archway
                .client()
                .send(method.clone(), path)
                .await
                .expect(405);
            assert_eq!(answer.error_code(), "UNSUPPORTED", "{method} {path}");
            let text = answer.text();
            assert!(
                text.contains("registry.test/team/app"),
                "{method} {path}: {text}"
            );
            let allow = answer.header("allow");
            assert!(
                allow.contains("GET") && allow.contains("HEAD"),
                "Allow: {allow}"
            );
        }
    }
    assert!(
        registry.log().all().is_empty(),
        "nothing of it goes upstream"
    );
}
