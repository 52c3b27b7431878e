//! How old an answer of another replica is, and what that allows: nothing goes back, and nothing becomes
//! younger on its way.

use std::time::Duration;

use integration_tests::bucket::Bucket;
use integration_tests::images::{self, Flavor};
use integration_tests::proxy::Setup;
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::eventually;

use super::{Each, Fleet, SECRET, answered, free_addresses, sees, signal};

const REPOSITORY: &str = "team/app";

#[tokio::test]
async fn a_tag_that_is_there_is_not_forgotten_for_an_older_not_found() {
    let registry = FakeRegistry::start().await;
    let fleet = Fleet::new(&registry, 2, "not_found_ttl = \"1h\"").await;
    let authority = fleet.owner("registry.test/team/app");
    let other = fleet.others(authority)[0];
    let ask = |number: usize| fleet.replicas[number].client();
    for number in [authority, other] {
        let absent = ask(number).manifest(REPOSITORY, "v1").await;
        assert_eq!(
            absent.status, 404,
            "and the authority will say so for an hour"
        );
    }
    let image = images::single("new", "linux/amd64", Flavor::Oci);
    registry.push(REPOSITORY, "v1", &image);
    // The other one learns of it while the authority says nothing.
    signal(&fleet.replicas[authority], "STOP");
    eventually("the tag is seen", async || {
        let answer = ask(other).manifest(REPOSITORY, "v1").await;
        (answer.status == 200).then_some(())
    })
    .await;
    signal(&fleet.replicas[authority], "CONT");
    sees(&fleet.replicas[other], 2).await;
    let before = answered(&fleet.replicas[other], "manifest").await;
    eventually("the authority was asked again", async || {
        let answer = ask(other).manifest(REPOSITORY, "v1").await;
        assert_eq!(answer.status, 200);
        (answered(&fleet.replicas[other], "manifest").await > before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_a_bucket_knows_of_a_tag_is_as_old_at_every_replica() {
    let image = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with(REPOSITORY, "v1", &image).await;
    let bucket = Bucket::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key");
    std::fs::write(&key, SECRET).expect("a writable folder");
    let mut first = Setup::in_front_of(&registry)
        .table(&bucket.table(&format!("key_file = \"{}\"", key.display())))
        .aws_credentials()
        .start()
        .await;
    first.client().pull(REPOSITORY, "v1").await;
    eventually("the bucket knows the tag", async || {
        let waiting = first.metric("archway_tier_waiting_writes").await;
        (waiting == Some(0)).then_some(())
    })
    .await;
    first.terminate();
    first.ended().await;

    registry.close().await;
    let each = Each {
        lines: "tag_ttl = \"1h\"".to_owned(),
        tables: bucket.table(""),
    };
    let addresses = free_addresses(2);
    let fleet = Fleet::at(&registry, &addresses, &addresses, each).await;
    let other = fleet.others(fleet.owner("registry.test/team/app"))[0];
    eventually("the answer is as old as the record", async || {
        let answer = fleet.replicas[other]
            .client()
            .manifest(REPOSITORY, "v1")
            .await;
        let answer = answer.expect(200);
        assert_eq!(answer.header("archway-cache"), "stale");
        let age: u64 = answer.header("age").parse().expect("a number");
        (Duration::from_secs(age) >= Duration::from_secs(2)).then_some(())
    })
    .await;
}
