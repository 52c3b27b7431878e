//! `ls` and `du` say what a cache holds.

use std::collections::BTreeSet;

use integration_tests::images;
use integration_tests::proxy::UPSTREAM;
use serde_json::Value;

use super::{REPOSITORY, Stage, asked, complaint, json, pull, said};

fn digests(listed: &Value) -> BTreeSet<String> {
    let blobs = listed["blobs"].as_array().expect("a list").iter();
    blobs
        .map(|blob| blob["digest"].as_str().expect("text").to_owned())
        .collect()
}

#[tokio::test]
async fn every_blob_is_listed_with_what_it_is_and_who_links_it() {
    let stage = Stage::stopped().await;
    let listed = json(&asked(&stage.archway, &["ls"]).await, 0);
    let expected: BTreeSet<String> = stage.pulled.parts.iter().map(ToString::to_string).collect();
    assert_eq!(digests(&listed), expected);
    assert_eq!(listed["index_read"], true);
    let blobs = listed["blobs"].as_array().expect("a list");
    let root = blobs
        .iter()
        .find(|blob| blob["digest"] == stage.content.root().digest.to_string())
        .expect("the index is among them");
    assert_eq!(root["kind"], "index");
    assert_eq!(root["media_type"], stage.content.root().media_type);
    assert_eq!(root["tags"][0], Stage::name("v1"));
    for blob in blobs {
        assert_eq!(blob["repositories"][0], format!("{UPSTREAM}/{REPOSITORY}"));
        assert!(blob["media_type"].is_string(), "a manifest says it: {blob}");
    }
}

#[tokio::test]
async fn the_index_is_read_after_a_kill_too() {
    let mut stage = Stage::set().await;
    stage.archway.kill();
    let listed = json(&asked(&stage.archway, &["ls"]).await, 0);
    assert_eq!(listed["index_read"], true);
    let tags = json(&asked(&stage.archway, &["ls", "--tags"]).await, 0);
    assert_eq!(tags["tags"][0]["digest"], stage.pulled.root.to_string());
}

#[tokio::test]
async fn beside_a_running_server_blobs_are_listed_from_the_files() {
    let stage = Stage::set().await;
    let output = stage.archway.cache_command(&["ls"]).await;
    let text = said(&output, 0);
    for part in &stage.pulled.parts {
        assert!(text.contains(&part.to_string()), "{text}");
    }
    assert!(
        text.contains("index "),
        "kinds are told from the files: {text}"
    );
    assert!(complaint(&output).starts_with("note: "), "and it says so");
    for words in [&["ls", "--tags"][..], &["ls", "--repository", UPSTREAM]] {
        let output = stage.archway.cache_command(words).await;
        said(&output, 2);
        let complaint = complaint(&output);
        assert!(complaint.contains("has locked the index"), "{complaint}");
    }
}

#[tokio::test]
async fn a_listing_is_narrowed_and_ordered_as_asked() {
    let mut stage = Stage::set().await;
    stage
        .registry
        .push("other/app", "v2", &images::multi_platform("other"));
    let other = pull(&stage.archway, "other/app", "v2").await;
    stage.stop().await;
    let list = async |words: &[&str]| {
        let words = [&["ls"], words].concat();
        json(&asked(&stage.archway, &words).await, 0)
    };
    let repository = format!("{UPSTREAM}/other");
    let expected: BTreeSet<String> = other.parts.iter().map(ToString::to_string).collect();
    assert_eq!(
        digests(&list(&["--repository", &repository]).await),
        expected
    );
    let part_of_a_name = format!("{UPSTREAM}/oth");
    assert!(digests(&list(&["--repository", &part_of_a_name]).await).is_empty());

    let by_size = list(&["--sort", "size"]).await;
    let sizes: Vec<u64> = by_size["blobs"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|blob| blob["size"].as_u64().expect("a number"))
        .collect();
    assert!(sizes.is_sorted_by(|left, right| left >= right), "{sizes:?}");
    let bound = sizes[sizes.len() / 2];
    let larger = list(&["--larger", &format!("{bound}B")]).await;
    let expected = sizes.iter().filter(|size| **size > bound).count();
    assert_eq!(digests(&larger).len(), expected);

    let tags = list(&["--tags", "--repository", &repository]).await;
    assert_eq!(tags["tags"].as_array().map(Vec::len), Some(1));
    let tag = &tags["tags"][0];
    assert_eq!((&tag["tag"], &tag["stored"]), (&"v2".into(), &true.into()));
    assert_eq!(tag["digest"], other.root.to_string());
    assert!(
        tag["age_seconds"].as_u64().is_some_and(|age| age < 600),
        "{tag}"
    );
}

#[tokio::test]
async fn usage_adds_up_and_shared_bytes_count_once() {
    let mut stage = Stage::set().await;
    stage.registry.push("other/app", "v2", &stage.content);
    pull(&stage.archway, "other/app", "v2").await;
    stage.stop().await;
    let stored: u64 = stage
        .archway
        .files("blobs")
        .iter()
        .map(|(_, size)| size)
        .sum();
    let used = json(&asked(&stage.archway, &["du"]).await, 0);
    assert_eq!(used["bytes"], stored);
    let kinds = used["kinds"].as_array().expect("a list");
    let sum: u64 = kinds.iter().filter_map(|kind| kind["bytes"].as_u64()).sum();
    assert_eq!(sum, stored);
    assert_eq!(
        used["shared_bytes"], stored,
        "both repositories link all of it"
    );
    assert_eq!(used["unlinked_bytes"], 0);
    for repository in used["repositories"].as_array().expect("a list") {
        assert_eq!(
            (&repository["own_bytes"], &repository["shared_bytes"]),
            (&0.into(), &stored.into())
        );
        assert_eq!(repository["tags"], 1);
    }
    let cap: u64 = 50 << 30;
    assert_eq!(used["max_bytes"], cap, "the default of the configuration");
    assert!(
        used["file_system_free_bytes"]
            .as_u64()
            .is_some_and(|free| free > 0)
    );

    let text = said(&stage.archway.cache_command(&["du"]).await, 0);
    assert!(text.contains("50.0 GiB (cache.max_size)"), "{text}");
    assert!(text.contains(&format!("{UPSTREAM}/other/app")), "{text}");
}

#[tokio::test]
async fn beside_a_running_server_usage_comes_without_repositories() {
    let stage = Stage::set().await;
    let used = json(&asked(&stage.archway, &["du"]).await, 0);
    assert_eq!(used["index_read"], false);
    assert_eq!(used["blobs"], stage.pulled.parts.len());
    assert_eq!(used["repositories"].as_array().map(Vec::len), Some(0));
}
