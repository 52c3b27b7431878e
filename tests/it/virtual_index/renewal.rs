//! When an index that was made holds, when it is made again, and what goes before it.

use http::StatusCode;
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, Flavor};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::eventually;

use super::{BY_TAG, SHORT, by_tag, digest, entries, front, image, latest};

#[tokio::test]
async fn the_upstreams_own_tag_wins_unless_the_rule_says_otherwise() {
    let registry = by_tag().await;
    let own = images::multi_platform("own");
    registry.push("team/app", "latest", &own);
    let archway = front(&registry, BY_TAG).await;
    assert_eq!(latest(&archway).await.expect(200).body, own.root().bytes);

    let first = format!("{BY_TAG}prefer = \"rule\"\n");
    let archway = front(&registry, &first).await;
    let made = latest(&archway).await.expect(200);
    assert_eq!(made.json()["annotations"]["io.archway.synthetic"], "true");
}

#[tokio::test]
async fn a_tag_that_appears_upstream_takes_over_and_one_that_goes_is_made_again() {
    let registry = by_tag().await;
    let archway = front(&registry, &format!("{SHORT}{BY_TAG}")).await;
    let made = latest(&archway).await.expect(200);
    let own = images::multi_platform("own");
    registry.push("team/app", "latest", &own);
    eventually("the upstream's own tag is served", async || {
        (latest(&archway).await.expect(200).body == own.root().bytes).then_some(())
    })
    .await;
    registry.remove_tag("team/app", "latest");
    eventually("the index is made again", async || {
        (latest(&archway).await.expect(200).body == made.body).then_some(())
    })
    .await;
}

#[tokio::test]
async fn when_a_source_moves_the_tag_follows_and_the_old_index_stays_by_digest() {
    let registry = by_tag().await;
    let archway = front(&registry, &format!("{SHORT}{BY_TAG}")).await;
    let old = latest(&archway).await.expect(200);
    let moved = images::single("moved", "linux/arm64", Flavor::Oci);
    registry.push("team/app", "arm64", &moved);
    let new = eventually("the tag has moved", async || {
        let answer = latest(&archway).await.expect(200);
        (answer.body != old.body).then_some(answer)
    })
    .await;
    assert!(entries(&new)[1].ends_with(&digest(&moved)));

    registry.close().await;
    let archway = archway.restart().await;
    for answer in [old, new] {
        let by_digest = answer.header("docker-content-digest");
        let again = archway
            .client()
            .manifest("team/app", by_digest)
            .await
            .expect(200);
        assert_eq!(again.body, answer.body);
    }
}

#[tokio::test]
async fn an_index_that_was_evicted_is_made_again() {
    let registry = by_tag().await;
    let lines = format!("tag_ttl = \"1h\"\n{BY_TAG}");
    let mut archway = front(&registry, &lines).await;
    let made = latest(&archway).await.expect(200);
    archway.kill();
    let digest = made.header("docker-content-digest").replace(':', "/");
    let file = archway.cache_folder().join("blobs").join(digest);
    std::fs::remove_file(file).expect("it was stored");
    let archway = archway.restart().await;
    assert_eq!(latest(&archway).await.expect(200).body, made.body);
}

#[tokio::test]
async fn an_old_index_is_revalidated_by_heads_alone_and_a_fresh_one_asks_nobody() {
    let registry = by_tag().await;
    let archway = front(&registry, &format!("tag_ttl = \"1h\"\n{BY_TAG}")).await;
    latest(&archway).await.expect(200);
    let asked = registry.log().all().len();
    latest(&archway).await.expect(200);
    assert_eq!(registry.log().all().len(), asked);

    let archway = front(&registry, &format!("{SHORT}{BY_TAG}")).await;
    latest(&archway).await.expect(200);
    let (gets, heads) = (registry.log().gets("64"), registry.log().heads("64"));
    eventually("both sources are asked for again", async || {
        latest(&archway).await.expect(200);
        (registry.log().heads("64") >= heads + 2).then_some(())
    })
    .await;
    assert_eq!(registry.log().gets("64"), gets, "HEADs are enough");
}

#[tokio::test]
async fn a_source_in_trouble_leaves_the_index_that_was_made_before_stale() {
    let registry = by_tag().await;
    let archway = front(&registry, &format!("{SHORT}{BY_TAG}")).await;
    let made = latest(&archway).await.expect(200);
    let fault = Fault::Status(StatusCode::INTERNAL_SERVER_ERROR);
    registry.faults().add(On::path("/manifests/arm64"), fault);
    for _ in 0..3 {
        let stale = eventually("the index is served stale", async || {
            let answer = latest(&archway).await.expect(200);
            (answer.header("archway-cache") == "stale").then_some(answer)
        })
        .await;
        assert_eq!(stale.body, made.body);
    }
}

#[tokio::test]
async fn an_index_of_deleted_tags_is_served_on_where_deleted_tags_are() {
    let registry = by_tag().await;
    let lines = format!("{SHORT}serve_deleted_tags = true\n{BY_TAG}");
    let archway = front(&registry, &lines).await;
    let before = latest(&archway).await.expect(200);
    for tag in ["amd64", "arm64"] {
        registry.remove_tag("team/app", tag);
    }
    for _ in 0..2 {
        let stale = async || {
            let answer = latest(&archway).await.expect(200);
            (answer.header("archway-cache") == "stale").then_some(answer)
        };
        let after = eventually("the tag is asked for again", stale).await;
        assert_eq!(after.body, before.body);
    }
}

#[tokio::test]
async fn an_immutable_tag_is_made_once_only_where_its_sources_are_immutable_too() {
    let registry = by_tag().await;
    let lines = format!("{SHORT}immutable_tags = [\"latest\"]\n{BY_TAG}");
    let archway = front(&registry, &lines).await;
    let made = latest(&archway).await.expect(200);
    registry.push(
        "team/app",
        "arm64",
        &images::single("moved", "linux/arm64", Flavor::Oci),
    );
    eventually("the tag has moved", async || {
        (latest(&archway).await.expect(200).body != made.body).then_some(())
    })
    .await;

    let lines = format!("{SHORT}immutable_tags = [\"*\"]\n{BY_TAG}");
    let archway = front(&registry, &lines).await;
    let made = latest(&archway).await.expect(200);
    registry.close().await;
    let again = latest(&archway).await.expect(200);
    assert_eq!(
        (again.header("archway-cache"), &again.body),
        ("hit", &made.body)
    );
}

#[tokio::test]
async fn an_index_that_lacked_a_source_is_never_immutable() {
    let registry = FakeRegistry::with("team/app", "amd64", &image("linux/amd64")).await;
    let lines = format!("{SHORT}immutable_tags = [\"*\"]\n{BY_TAG}");
    let archway = front(&registry, &lines).await;
    assert_eq!(entries(&latest(&archway).await.expect(200)).len(), 1);
    registry.push("team/app", "arm64", &image("linux/arm64"));
    eventually("the other architecture is there too", async || {
        (entries(&latest(&archway).await.expect(200)).len() == 2).then_some(())
    })
    .await;
}
