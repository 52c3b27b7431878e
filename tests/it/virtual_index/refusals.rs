//! Where no index is made, and what is said then.

use http::StatusCode;
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, Content, Flavor, OCI_INDEX, Stored};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::eventually;

use super::{BY_TAG, by_tag, entries, front, image, latest};

#[tokio::test]
async fn a_source_in_trouble_is_an_error_and_never_a_smaller_index() {
    for status in [500, 429, 403] {
        let registry = by_tag().await;
        let status = StatusCode::from_u16(status).unwrap();
        registry
            .faults()
            .add(On::path("/manifests/arm64"), Fault::Status(status));
        let archway = front(&registry, BY_TAG).await;
        let answer = latest(&archway).await;
        assert!(
            answer.status.as_u16() >= 403 && answer.status != 404,
            "{}",
            answer.status
        );
        registry.faults().clear();
        eventually("the trouble is over", async || {
            let answer = latest(&archway).await;
            (answer.status == 200).then(|| assert_eq!(entries(&answer).len(), 2))
        })
        .await;
    }
}

#[tokio::test]
async fn what_the_upstream_lacks_is_left_out_unless_the_rule_demands_it() {
    let registry = FakeRegistry::with("team/app", "amd64", &image("linux/amd64")).await;
    let archway = front(&registry, BY_TAG).await;
    assert_eq!(entries(&latest(&archway).await.expect(200)).len(), 1);

    let demanding = format!("{BY_TAG}platforms = [\"linux/amd64\", \"linux/arm64\"]\n");
    let archway = front(&registry, &demanding).await;
    let refused = latest(&archway).await.expect(404);
    assert_eq!(refused.error_code(), "MANIFEST_UNKNOWN");
    let detail = &refused.json()["errors"][0]["detail"];
    assert_eq!(detail["platform"], "linux/arm64");
    assert_eq!(detail["available"], serde_json::json!(["linux/amd64"]));
}

#[tokio::test]
async fn a_rule_that_yields_nothing_says_what_was_tried() {
    let registry = FakeRegistry::with("team/app", "v1", &image("linux/amd64")).await;
    let archway = front(&registry, BY_TAG).await;
    for _ in 0..2 {
        let refused = latest(&archway).await.expect(404);
        assert_eq!(refused.error_code(), "MANIFEST_UNKNOWN");
        let tried = &refused.json()["errors"][0]["detail"]["tried"];
        assert_eq!(
            *tried,
            serde_json::json!(["team/app:amd64", "team/app:arm64"])
        );
    }
    assert_eq!(registry.log().all().len(), 3, "absence holds for a moment");
}

#[tokio::test]
async fn two_images_for_one_platform_are_refused_with_both_names() {
    let registry = FakeRegistry::with("team/app", "amd64", &image("linux/amd64")).await;
    registry.push(
        "team/app",
        "arm64",
        &images::single("mislabelled", "linux/amd64", Flavor::Oci),
    );
    let archway = front(&registry, BY_TAG).await;
    let refused = latest(&archway).await.expect(502);
    let text = refused.text();
    assert!(text.contains("2 images for linux/amd64"), "{text}");
    assert!(
        text.contains("team/app:amd64@") && text.contains("team/app:arm64@"),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_no_image_is_refused() {
    let registry = FakeRegistry::with("team/app", "amd64", &image("linux/amd64")).await;
    registry.push(
        "team/app",
        "arm64",
        &images::artifact("sbom", "application/spdx+json", None),
    );
    let archway = front(&registry, BY_TAG).await;
    latest(&archway).await.expect(502);
}

/// Indexes nested in one another, each listing the next one `width` times, and no image at the end.
fn hollow(depth: usize, width: usize) -> Content {
    let index = |entries: Vec<serde_json::Value>| {
        let body = serde_json::json!({
            "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries,
        });
        Stored::new(OCI_INDEX, body.to_string())
    };
    let mut content = Content::default();
    content.manifests.push(index(Vec::new()));
    for _ in 0..depth {
        let entries = vec![content.root().descriptor(); width];
        content.manifests.push(index(entries));
    }
    content
}

#[tokio::test]
async fn indexes_that_nest_many_others_and_no_image_are_refused_before_all_are_opened() {
    let registry = FakeRegistry::with("team/app", "amd64", &hollow(2, 60)).await;
    let archway = front(&registry, BY_TAG).await;
    let refused = latest(&archway).await.expect(502);
    let text = refused.text();
    assert!(text.contains("too many entries"), "{text}");
}
