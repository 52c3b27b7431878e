//! Bundles in parts: split, checked by stock tools, joined again.

use std::process::Command;

use super::*;

/// A bundle and its three parts.
async fn in_parts(source: &Source) -> (PathBuf, Vec<String>) {
    let file = source.file("site.tar");
    let path = file.to_str().expect("a plain path");
    said(&source.export(&file, &["--platform", BOTH]).await, 0);
    let third = std::fs::metadata(&file).expect("it was written").len() / 3 + 4096;
    let text = said(
        &run(&["bundle", "split", &third.to_string(), path]).await,
        0,
    );
    assert!(text.contains("3 parts"), "{text}");
    let parts = (1..=3).map(|number| format!("{path}.{number:03}"));
    (file.clone(), parts.collect())
}

#[track_caller]
fn shell(source: &Source, line: &str) -> String {
    let output = Command::new("sh")
        .args(["-c", line])
        .current_dir(source.folder.path())
        .output()
        .expect("a shell");
    said(&output, 0)
}

#[tokio::test]
async fn parts_are_checked_and_joined_by_stock_tools_and_by_ours() {
    let source = Source::new().await;
    let (file, parts) = in_parts(&source).await;
    let whole = std::fs::read(&file).expect("it was written");
    shell(&source, "sha256sum -c site.tar.sha256");
    shell(&source, "cat site.tar.0?? | cmp - site.tar");

    let joined = source.file("joined.tar");
    let [one, two, three] = [&parts[0], &parts[1], &parts[2]].map(String::as_str);
    let output = joined.to_str().expect("a plain path");
    let words = ["bundle", "join", three, one, two, "-o", output];
    said(&run(&words).await, 0);
    assert!(std::fs::read(&joined).expect("it was written") == whole);
    let text = said(&run(&["bundle", "verify", two, three, one]).await, 0);
    assert!(text.contains("no damage"), "{text}");

    let text = said(
        &run(&["bundle", "join", one, three, "-o", "x.tar"]).await,
        1,
    );
    assert!(text.contains("is missing"), "{text}");
    std::fs::copy(one, source.file("wrong.tar.002")).expect("a writable folder");
    std::fs::copy(one, source.file("wrong.tar.001")).expect("a writable folder");
    let wrong = source.file("wrong.tar.002");
    let words = [
        "bundle",
        "join",
        wrong.to_str().expect("a plain path"),
        source.file("wrong.tar.001").to_str().expect("a plain path"),
        "-o",
        "x.tar",
    ]
    .map(str::to_owned);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let text = said(&run(&words).await, 1);
    assert!(text.contains("does not belong to this bundle"), "{text}");
}

#[tokio::test]
async fn what_lies_beside_a_bundle_is_no_bundle_to_verify() {
    let source = Source::new().await;
    let (file, _) = in_parts(&source).await;
    for beside in ["site.lock.json", "site.tar.sha256"] {
        let beside = source.file(beside);
        let words = ["bundle", "verify", beside.to_str().expect("a plain path")];
        let text = said(&run(&words).await, 2);
        assert!(text.contains("name the bundle"), "{text}");
    }
    // Parts of another size beside these would pass for theirs.
    let path = file.to_str().expect("a plain path");
    let text = said(&run(&["bundle", "split", "4KiB", path]).await, 2);
    assert!(text.contains("exists already"), "{text}");
}

#[tokio::test]
async fn two_bundles_differ_by_the_names_and_bytes_they_bring() {
    let source = Source::new().await;
    let (file, parts) = in_parts(&source).await;
    let path = file.to_str().expect("a plain path");
    let lock = source.file("site.lock.json");
    let lock = lock.to_str().expect("a plain path");
    let text = said(&run(&["bundle", "diff", path, lock]).await, 0);
    assert_eq!(text, "0 blobs to carry, 0 B\n");
    let empty = source.file("empty.inv.json");
    let json = r#"{"blobs":{},"bundles":[],"format":"archway.inventory/1","images":[]}"#;
    std::fs::write(&empty, json).expect("a writable folder");
    let empty = empty.to_str().expect("a plain path");
    let text = said(&run(&["bundle", "diff", empty, &parts[0]]).await, 1);
    let name = format!("{UPSTREAM}/{REPOSITORY}:v1");
    assert!(text.starts_with(&format!("+ {name} sha256:")), "{text}");
    let text = said(
        &run(&["bundle", "diff", path, empty, "-o", "json"]).await,
        1,
    );
    let json: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["removed"][0]["name"], name);
    assert_eq!(json["bytes"], 0);
}
