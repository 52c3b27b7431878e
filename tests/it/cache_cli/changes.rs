//! `rm` and `gc` change a cache that no server runs on.

use integration_tests::images::{self, Blob};
use integration_tests::proxy::UPSTREAM;
use manifest_model::{Algorithm, Digest};

use super::{REPOSITORY, Stage, asked, complaint, file, json, pull, said};

#[tokio::test]
async fn what_changes_a_cache_is_refused_while_a_server_runs() {
    let stage = Stage::set().await;
    let blob = stage.blob().to_string();
    for words in [&["rm", &blob][..], &["gc"]] {
        let output = stage.archway.cache_command(words).await;
        said(&output, 2);
        let complaint = complaint(&output);
        assert!(complaint.contains("a server is running on"), "{complaint}");
        assert!(complaint.contains("stop it first"), "{complaint}");
    }
    assert!(stage.archway.has_stored(&stage.blob()));
}

#[tokio::test]
async fn a_removed_tag_takes_its_image_along_and_the_next_pull_brings_it_back() {
    let stage = Stage::stopped().await;
    let name = Stage::name("v1");
    let removed = json(&asked(&stage.archway, &["rm", &name]).await, 0);
    assert_eq!(removed[0]["tags"][0], name);
    assert_eq!(
        removed[0]["blobs"].as_array().map(Vec::len),
        Some(stage.pulled.parts.len())
    );
    assert!(stage.archway.files("blobs").is_empty());
    let used = json(&asked(&stage.archway, &["du"]).await, 0);
    assert_eq!(
        (
            &used["bytes"],
            used["repositories"].as_array().map(Vec::len)
        ),
        (&0.into(), Some(0))
    );

    let again = stage.archway.cache_command(&["rm", &name]).await;
    said(&again, 1);
    assert!(complaint(&again).contains("not in the cache"));

    let stage = stage.restarted().await;
    let again = pull(&stage.archway, REPOSITORY, "v1").await;
    assert_eq!(again, stage.pulled);
    assert_eq!(stage.registry.log().gets("/manifests/v1"), 2, "the tag");
    for part in &stage.pulled.parts[1..] {
        assert_eq!(stage.registry.gets_of(part), 2, "{part}");
    }
}

#[tokio::test]
async fn what_another_tag_or_repository_needs_stays_when_a_tag_is_removed() {
    let mut stage = Stage::set().await;
    stage.registry.push(REPOSITORY, "v2", &stage.content);
    stage.registry.push("other/app", "v1", &stage.content);
    pull(&stage.archway, REPOSITORY, "v2").await;
    pull(&stage.archway, "other/app", "v1").await;
    stage.stop().await;
    let all = stage.pulled.parts.len();
    for (name, left) in [
        (Stage::name("v1"), all),
        (Stage::name("v2"), all),
        (format!("{UPSTREAM}/other/app:v1"), 0),
    ] {
        said(&stage.archway.cache_command(&["rm", &name]).await, 0);
        assert_eq!(stage.archway.files("blobs").len(), left, "after {name}");
    }
}

#[tokio::test]
async fn a_layer_of_two_images_stays_until_both_are_removed() {
    let blob = |name: &str| Blob::from(images::noise(name, 5000));
    let (first, shared, second) = (blob("first"), blob("shared"), blob("second"));
    let mut stage = Stage::set().await;
    let repository = "two/images";
    for (tag, blobs) in [
        ("v1", [first.clone(), shared.clone()]),
        ("v2", [shared.clone(), second.clone()]),
    ] {
        stage
            .registry
            .push(repository, tag, &images::of_blobs(&blobs));
        pull(&stage.archway, repository, tag).await;
    }
    stage.stop().await;
    let remove = async |tag: &str| {
        let name = format!("{UPSTREAM}/{repository}:{tag}");
        said(&stage.archway.cache_command(&["rm", &name]).await, 0);
        [&first, &shared, &second].map(|blob| stage.archway.has_stored(&blob.digest()))
    };
    assert_eq!(remove("v1").await, [false, true, true]);
    assert_eq!(remove("v2").await, [false, false, false]);
    assert!(
        stage.archway.has_stored(&stage.blob()),
        "another repository's"
    );
}

#[tokio::test]
async fn a_removed_digest_is_gone_from_everywhere_and_asked_for_again() {
    let stage = Stage::stopped().await;
    let (blob, root) = (stage.blob(), stage.content.root().digest);
    let (first, second) = (blob.to_string(), root.to_string());
    let removed = json(&asked(&stage.archway, &["rm", &first, &second]).await, 0);
    assert_eq!(removed[0]["blobs"][0], first);
    assert_eq!(
        removed[1]["tags"][0],
        Stage::name("v1"),
        "the tag that pointed at it"
    );
    assert!(!stage.archway.has_stored(&blob) && !stage.archway.has_stored(&root));
    let stage = stage.restarted().await;
    let again = pull(&stage.archway, REPOSITORY, "v1").await;
    assert_eq!(again, stage.pulled);
    assert_eq!(stage.registry.log().gets("/manifests/v1"), 2, "the tag");
    for part in &stage.pulled.parts[1..] {
        let expected = if *part == blob { 2 } else { 1 };
        assert_eq!(stage.registry.gets_of(part), expected, "{part}");
    }
}

#[tokio::test]
async fn collecting_makes_the_index_follow_the_files() {
    let stage = Stage::stopped().await;
    let archway = &stage.archway;
    let root = stage.content.root().digest;
    for gone in [&stage.blob(), &root] {
        std::fs::remove_file(file(archway, gone)).expect("it is stored");
    }
    let unknown = b"a file the index has never heard of";
    let unknown_digest = Digest::of(Algorithm::Sha256, unknown);
    std::fs::write(file(archway, &unknown_digest), unknown).expect("a writable cache");
    let ingest = archway.cache_folder().join("ingest");
    std::fs::write(ingest.join("leftover.7.evicted"), [7; 5000]).expect("a writable cache");

    let done = json(&asked(archway, &["gc"]).await, 0);
    assert_eq!(
        (&done["rows_dropped"], &done["files_recorded"]),
        (&2.into(), &1.into()),
        "{done}"
    );
    assert_eq!(
        (&done["tags_dropped"], &done["links_dropped"]),
        (&1.into(), &2.into()),
        "{done}"
    );
    let deleted = done["staged_bytes_deleted"].as_u64();
    assert!(deleted.is_some_and(|bytes| bytes >= 5000), "{done}");
    assert_eq!(done["index_rebuilt"], false);

    let text = said(&archway.cache_command(&["gc"]).await, 0);
    assert!(
        text.contains("dropped 0 rows"),
        "nothing is left to do: {text}"
    );
    let tags = json(&asked(archway, &["ls", "--tags"]).await, 0);
    assert_eq!(tags["tags"].as_array().map(Vec::len), Some(0));
    let used = json(&asked(archway, &["du"]).await, 0);
    assert_eq!(used["unlinked_bytes"], unknown.len());
    let clean = json(&asked(archway, &["verify"]).await, 0);
    assert_eq!(clean["sizes_compared"], true);
}

#[tokio::test]
async fn collecting_takes_nothing_from_the_images_that_are_there() {
    let mut stage = Stage::set().await;
    stage
        .registry
        .push("other/app", "v2", &images::docker_list("other"));
    let other = pull(&stage.archway, "other/app", "v2").await;
    stage.stop().await;
    said(&stage.archway.cache_command(&["gc"]).await, 0);
    stage.registry.close().await;
    let stage = stage.restarted().await;
    let client = stage.archway.client();
    assert_eq!(client.pull(REPOSITORY, "v1").await, stage.pulled);
    assert_eq!(client.pull("other/app", "v2").await, other);
}

#[tokio::test]
async fn a_damaged_index_is_told_of_by_ls_and_built_anew_by_gc() {
    let stage = Stage::stopped().await;
    let archway = &stage.archway;
    for damage in [&[0x55; 8192][..], &[]] {
        std::fs::write(archway.cache_folder().join("index.redb"), damage)
            .expect("a writable cache");
        let output = archway.cache_command(&["ls"]).await;
        let text = said(&output, 0);
        assert!(text.contains(&stage.blob().to_string()), "{text}");
        let complaint = complaint(&output);
        assert!(
            complaint.contains("note: ") && complaint.contains("index"),
            "{complaint}"
        );

        let done = json(&asked(archway, &["gc"]).await, 0);
        assert_eq!(done["index_rebuilt"], true);
        let listed = json(&asked(archway, &["ls"]).await, 0);
        assert_eq!(listed["index_read"], true);
        let count = listed["blobs"].as_array().map(Vec::len);
        assert_eq!(count, Some(stage.pulled.parts.len()));
        let used = json(&asked(archway, &["du"]).await, 0);
        assert_eq!(used["unlinked_bytes"], 0, "their copy says whose they are");
    }
}
