//! `verify` finds what is damaged, and `--repair` brings it back.

use integration_tests::wait::eventually;

use super::{REPOSITORY, Stage, asked, complaint, file, flip_a_bit, json, pull, said};

#[tokio::test]
async fn a_flipped_bit_is_found_taken_out_and_healed_while_the_server_runs() {
    let stage = Stage::set().await;
    let (archway, blob) = (&stage.archway, stage.blob());
    let path = file(archway, &blob);
    let good = std::fs::read(&path).expect("it is stored");
    said(&archway.cache_command(&["verify"]).await, 0);
    flip_a_bit(&path);

    let output = archway.cache_command(&["verify"]).await;
    let text = said(&output, 1);
    assert!(text.contains(&format!("corrupt     {blob}")), "{text}");
    assert!(text.contains("1 damaged"), "{text}");
    assert!(
        complaint(&output).contains("--repair"),
        "it says what to do"
    );
    assert!(path.exists(), "without --repair nothing is touched");

    let text = said(&archway.cache_command(&["verify", "--repair"]).await, 1);
    assert!(text.contains("removed"), "{text}");
    assert!(!path.exists());
    assert!(archway.files("ingest").is_empty(), "nothing is left aside");

    assert_eq!(stage.registry.gets_of(&blob), 1);
    // The server may hold the old file open for a moment.
    let body = eventually("the blob is fetched again", async || {
        let answer = archway.client().blob(REPOSITORY, blob).await.expect(200);
        (stage.registry.gets_of(&blob) == 2).then_some(answer.body)
    })
    .await;
    assert_eq!(body, good);
    archway.stores(&blob).await;
    archway.client().blob(REPOSITORY, blob).await.expect(200);
    assert_eq!(
        stage.registry.gets_of(&blob),
        2,
        "asked once more, and no more"
    );
    said(&archway.cache_command(&["verify"]).await, 0);
}

#[tokio::test]
async fn a_manifest_in_memory_is_stored_again_when_its_file_was_taken_out() {
    let stage = Stage::set().await;
    let (archway, path) = (
        &stage.archway,
        file(&stage.archway, &stage.content.root().digest),
    );
    flip_a_bit(&path);
    said(&archway.cache_command(&["verify", "--repair"]).await, 1);
    assert!(!path.exists());
    // For a moment the server does not look.
    eventually("the manifest is stored again", async || {
        let answer = archway.client().manifest(REPOSITORY, "v1").await;
        assert_eq!(answer.expect(200).body, stage.content.root().bytes);
        path.exists().then_some(())
    })
    .await;
    said(&archway.cache_command(&["verify"]).await, 0);
}

#[tokio::test]
async fn a_flipped_bit_is_taken_out_and_healed_while_the_server_is_stopped() {
    let stage = Stage::stopped().await;
    let manifest = stage.content.root().digest;
    let damaged = [stage.blob(), manifest];
    for digest in &damaged {
        flip_a_bit(&file(&stage.archway, digest));
    }
    let report = json(
        &asked(&stage.archway, &["verify", "--repair", "--jobs", "3"]).await,
        1,
    );
    assert_eq!(
        (&report["damaged"], &report["removed"]),
        (&2.into(), &2.into()),
        "{report}"
    );
    let clean = json(&asked(&stage.archway, &["verify"]).await, 0);
    assert_eq!(clean["sizes_compared"], true);

    let stage = stage.restarted().await;
    let again = pull(&stage.archway, REPOSITORY, "v1").await;
    assert_eq!(again, stage.pulled);
    assert_eq!(stage.registry.gets_of(&damaged[0]), 2, "the blob");
    assert_eq!(
        stage.registry.gets_of(&manifest),
        1,
        "it came by its tag the first time"
    );
    said(&stage.archway.cache_command(&["verify"]).await, 0);
}

#[tokio::test]
async fn a_file_of_the_wrong_length_is_found_with_the_index_and_without() {
    let mut stage = Stage::set().await;
    let blob = stage.blob();
    let path = file(&stage.archway, &blob);
    let whole = std::fs::read(&path).expect("it is stored");
    std::fs::write(&path, &whole[..whole.len() - 1]).expect("a writable cache");

    let beside = json(&asked(&stage.archway, &["verify"]).await, 1);
    assert_eq!(beside["sizes_compared"], false);
    assert_eq!(beside["findings"][0]["problem"], "corrupt");
    stage.stop().await;
    let alone = json(&asked(&stage.archway, &["verify"]).await, 1);
    let finding = &alone["findings"][0];
    assert_eq!(finding["problem"], "length", "{alone}");
    assert_eq!(finding["digest"], blob.to_string());
    let detail = finding["detail"].as_str().expect("text");
    assert!(detail.contains(&whole.len().to_string()), "{detail}");
}

#[tokio::test]
async fn a_foreign_name_is_told_of_and_left_alone() {
    let stage = Stage::stopped().await;
    let foreign = stage.archway.cache_folder().join("blobs/sha256/README");
    std::fs::write(&foreign, "mine").expect("a writable cache");
    let text = said(
        &stage.archway.cache_command(&["verify", "--repair"]).await,
        0,
    );
    assert!(
        text.contains("foreign     ") && text.contains("README"),
        "{text}"
    );
    assert!(text.contains("no damage"), "{text}");
    assert!(foreign.exists());
}

#[tokio::test]
async fn without_its_index_a_cache_is_verified_all_the_same() {
    let stage = Stage::stopped().await;
    std::fs::write(
        stage.archway.cache_folder().join("index.redb"),
        [0x55; 8192],
    )
    .expect("a writable cache");
    let output = stage.archway.cache_command(&["verify"]).await;
    said(&output, 0);
    let complaint = complaint(&output);
    assert!(
        complaint.contains("the index cannot be read"),
        "{complaint}"
    );
    let left = std::fs::read(stage.archway.cache_folder().join("index.redb"));
    assert_eq!(
        left.expect("still there"),
        [0x55; 8192],
        "it is not touched"
    );
}
