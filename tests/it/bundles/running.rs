//! Exports through an Archway that serves: it pulls what is missing, once, and goes on.

use std::fs;

use integration_tests::client::Client;

use super::*;

/// What the lock of a bundle says, but for its time.
async fn lock(path: &Path) -> Value {
    let path = path.to_str().expect("a plain path");
    let text = said(&run(&["bundle", "inspect", path, "-o", "json"]).await, 0);
    let mut inspected: Value = serde_json::from_str(&text).expect("JSON");
    let mut lock = inspected["lock"].take();
    lock["created"].take();
    lock
}

/// A registry with an image, a signature of it as cosign tags one, an SBOM that refers to one of its
/// manifests, and what refers to that.
async fn registry(content: &Content) -> (FakeRegistry, Vec<Content>) {
    let registry = FakeRegistry::with(REPOSITORY, "v1", content).await;
    let root = content.root();
    let signature = images::artifact(
        "signature",
        "application/vnd.dev.cosign.artifact.sig.v1+json",
        None,
    );
    let tag = format!("sha256-{}.sig", root.digest.hex());
    registry.push(REPOSITORY, &tag, &signature);
    let child = content.child("linux/arm64/v8");
    let sbom = images::artifact("sbom", "application/spdx+json", Some(child));
    registry.push(REPOSITORY, "sbom", &sbom);
    let about = images::artifact("about", "application/example", Some(sbom.root()));
    registry.push(REPOSITORY, "about", &about);
    (registry, vec![signature, sbom, about])
}

#[tokio::test]
async fn what_is_missing_is_pulled_once_with_all_that_is_attached() {
    let content = images::multi_platform("app");
    let (registry, attached) = registry(&content).await;
    let mut archway = Setup::in_front_of(&registry).start().await;
    let folder = TempDir::new().expect("a folder");
    let (live, stopped) = (
        folder.path().join("live.tar"),
        folder.path().join("stopped.tar"),
    );
    let name = format!("{UPSTREAM}/{REPOSITORY}:v1");
    let export = async |archway: &Archway, file: &Path| {
        let file = file.to_str().expect("a plain path");
        let server = format!("--server={}", archway.url());
        let words = ["export", &name, "--platform", BOTH, "-o", file, &server];
        said(&archway.bundle_command(&words).await, 0)
    };
    export(&archway, &live).await;
    let pulled = attached.iter().chain([&content]);
    for blob in pulled.flat_map(|content| &content.blobs) {
        let asked = registry.gets_of(&blob.digest());
        assert!(asked <= 1, "{} was asked for {asked} times", blob.digest());
    }
    let carried = lock(&live).await;
    let lines = carried["images"][0]["attached"].as_array().expect("a list");
    for one in &attached {
        let digest = one.root().digest.to_string();
        assert!(
            lines.iter().any(|line| line["digest"] == digest),
            "{digest} in {lines:?}"
        );
    }
    // It serves as before, and the stopped directory makes the same of it.
    let client: Client = archway.client();
    client.manifest(REPOSITORY, "v1").await.expect(200);
    stop(&mut archway).await;
    export(&archway, &stopped).await;
    assert_eq!(lock(&stopped).await, carried);
    let lock_file = folder.path().join("live.lock.json");
    let path = live.to_str().expect("a plain path");
    said(&run(&["bundle", "split", "1GiB", path]).await, 0);
    let again = folder.path().join("again.tar");
    let words = [
        "export",
        "--lock",
        lock_file.to_str().expect("a plain path"),
        "-o",
        again.to_str().expect("a plain path"),
    ];
    said(&archway.bundle_command(&words).await, 0);
    assert!(fs::read(&again).expect("it was written") == fs::read(&live).expect("it was written"));
}

#[tokio::test]
async fn what_cannot_be_pulled_is_named_with_the_reason_and_the_rest_of_a_list_is_carried() {
    let content = images::multi_platform("app");
    let (registry, _) = registry(&content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let folder = TempDir::new().expect("a folder");
    let list = folder.path().join("images.txt");
    let lines = format!("{UPSTREAM}/{REPOSITORY}:v1\n{UPSTREAM}/{REPOSITORY}:never\n");
    fs::write(&list, lines).expect("a file");
    let file = folder.path().join("site.tar");
    let server = format!("--server={}", archway.url());
    let words = [
        "export",
        &server,
        "--from-file",
        list.to_str().expect("a plain path"),
        "--platform",
        BOTH,
        "-o",
        file.to_str().expect("a plain path"),
    ];
    let text = said(&archway.bundle_command(&words).await, 1);
    assert!(
        text.contains("left out: ") && text.contains(":never"),
        "{text}"
    );
    let carried = lock(&file).await;
    assert_eq!(carried["images"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_gateway_that_asks_nobody_exports_what_it_has_and_wishes_for_nothing() {
    let source = Source::new().await;
    let path = super::import::exported(&source).await;
    let registry = FakeRegistry::start().await;
    let gateway = Setup::in_front_of(&registry)
        .top("offline = true")
        .start()
        .await;
    said(&gateway.bundle_command(&["import", &path]).await, 0);
    let file = source.file("again.tar");
    let name = format!("{UPSTREAM}/{REPOSITORY}:v1");
    let words = [
        "export",
        &name,
        "--platform",
        BOTH,
        "--series",
        "site",
        "-o",
    ];
    let words = [&words[..], &[file.to_str().expect("a plain path")]].concat();
    said(&gateway.bundle_command(&words).await, 0);
    assert_eq!(lock(&file).await["sequence"], 1);
    let wanted = said(
        &gateway
            .command(&["wanted", &format!("--admin={}", gateway.admin_url())])
            .await,
        0,
    );
    assert_eq!(wanted, "");
}

/// Exports through a running Archway, whose listener has a port of its own.
async fn export(archway: &Archway, words: &[&str], file: &Path) -> Output {
    let server = format!("--server={}", archway.url());
    let all = [&["export", &server, "-o", text(file)], words].concat();
    archway.bundle_command(&all).await
}

/// The image with both platforms.
fn both(name: &str) -> [&str; 3] {
    [name, "--platform", BOTH]
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[tokio::test]
async fn what_only_would_be_carried_is_not_downloaded_and_neither_is_what_the_site_has() {
    let content = images::multi_platform("app");
    let (registry, _) = registry(&content).await;
    let name = format!("{UPSTREAM}/{REPOSITORY}:v1");
    let folder = TempDir::new().expect("a folder");
    let base = folder.path().join("base.tar");
    let never = folder.path().join("never.tar");
    let delta = folder.path().join("delta.tar");
    let first = Setup::in_front_of(&registry).start().await;
    let dry = [&both(&name)[..], &["--dry-run"]].concat();
    let shown = said(&export(&first, &dry, &never).await, 0);
    assert!(shown.contains("1 image, "), "{shown}");
    let of_blobs = || -> usize {
        let blobs = content.blobs.iter();
        blobs.map(|blob| registry.gets_of(&blob.digest())).sum()
    };
    assert_eq!(of_blobs(), 0, "{shown}");
    assert!(!never.exists());
    let exported = said(&export(&first, &both(&name), &base).await, 0);
    assert!(exported.contains("to be pulled: "), "{exported}");
    // The size was known before, to the byte.
    let summary = |shown: &str| {
        let line = shown.lines().find(|line| line.starts_with("1 image, "));
        line.expect("a summary").to_owned()
    };
    assert_eq!(summary(&shown), summary(&exported));
    let asked = of_blobs();
    let second = Setup::in_front_of(&registry).start().await;
    let since = [&both(&name)[..], &["--since", text(&base)]].concat();
    said(&export(&second, &since, &delta).await, 0);
    assert_eq!(of_blobs(), asked, "the base has them");
}

#[tokio::test]
async fn a_bundle_is_made_again_from_its_lock_by_an_archway_that_has_nothing_yet() {
    let content = images::multi_platform("app");
    let (registry, _) = registry(&content).await;
    let name = format!("{UPSTREAM}/{REPOSITORY}:v1");
    let folder = TempDir::new().expect("a folder");
    let (site, again) = (
        folder.path().join("site.tar"),
        folder.path().join("again.tar"),
    );
    let first = Setup::in_front_of(&registry).start().await;
    said(&export(&first, &both(&name), &site).await, 0);
    // A tag that moves meanwhile does not matter.
    registry.push(REPOSITORY, "v1", &images::multi_platform("another"));
    let second = Setup::in_front_of(&registry).start().await;
    let from_lock = ["--lock", text(&site)];
    said(&export(&second, &from_lock, &again).await, 0);
    assert!(fs::read(&again).expect("it was written") == fs::read(&site).expect("it was written"));
    // What the upstream has no more cannot be made again.
    registry.close().await;
    let third = Setup::in_front_of(&registry).start().await;
    let never = folder.path().join("never.tar");
    let shown = said(&export(&third, &from_lock, &never).await, 1);
    assert!(shown.contains("could not be pulled: "), "{shown}");
    assert!(!never.exists());
}

#[tokio::test]
async fn an_index_is_exported_as_it_is_where_this_machine_would_get_an_image_of_it() {
    let content = images::multi_platform("app");
    let (registry, _) = registry(&content).await;
    let archway = Setup::in_front_of_with(&registry, "resolve = \"always\"")
        .table("[platform]\naddresses = { \"127.0.0.0/8\" = \"linux/arm64\" }")
        .start()
        .await;
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("site.tar");
    let name = format!("{UPSTREAM}/{REPOSITORY}:v1");
    said(&export(&archway, &both(&name), &file).await, 0);
    let carried = lock(&file).await;
    let digest = content.root().digest.to_string();
    assert_eq!(carried["images"][0]["digest"], digest);
}

#[tokio::test]
async fn an_inventory_is_the_same_while_archway_serves_and_after() {
    let source = Source::new().await;
    let path = super::import::exported(&source).await;
    let registry = FakeRegistry::start().await;
    let mut site = Setup::in_front_of(&registry).start().await;
    said(&site.bundle_command(&["import", &path]).await, 0);
    let (live, stopped) = (
        source.file("live.inv.json"),
        source.file("stopped.inv.json"),
    );
    said(&site.command(&["inventory", "-o", text(&live)]).await, 0);
    stop(&mut site).await;
    said(&site.command(&["inventory", "-o", text(&stopped)]).await, 0);
    let live = fs::read_to_string(&live).expect("it was written");
    assert_eq!(live, fs::read_to_string(&stopped).expect("it was written"));
    let live: Value = serde_json::from_str(&live).expect("JSON");
    assert_eq!(live["bundles"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_is_made_for_the_inventory_of_a_running_site_comes_in_there_and_nowhere_else() {
    let (old, new) = (images::multi_platform("app"), images::multi_platform("new"));
    let (registry, _) = registry(&old).await;
    registry.push(REPOSITORY, "v2", &new);
    let connected = Setup::in_front_of(&registry).start().await;
    let offline = async || {
        let setup = Setup::in_front_of(&registry).top("offline = true");
        setup.start().await
    };
    let (site, empty) = (offline().await, offline().await);
    let folder = TempDir::new().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    let (base, inventory, delta) = (file("base.tar"), file("inv.json"), file("delta.tar"));
    let names = ["v1", "v2"].map(|tag| format!("{UPSTREAM}/{REPOSITORY}:{tag}"));
    said(&export(&connected, &both(&names[0]), &base).await, 0);
    said(&site.bundle_command(&["import", text(&base)]).await, 0);
    let written = ["inventory", "-o", text(&inventory)];
    said(&site.command(&written).await, 0);
    let since = ["--platform", BOTH, "--since", text(&inventory)];
    let words = [&[names[0].as_str(), &names[1]][..], &since].concat();
    said(&export(&connected, &words, &delta).await, 0);
    let carried = lock(&delta).await;
    let blobs = carried["blobs"].as_array().expect("a list").iter();
    let in_bundle = blobs.filter(|blob| blob["in"] == "bundle");
    let in_bundle: Vec<_> = in_bundle.map(|blob| blob["digest"].clone()).collect();
    let of_old = old.blobs.iter().map(|blob| blob.digest().to_string());
    for digest in of_old {
        assert!(!in_bundle.contains(&Value::from(digest)), "{carried}");
    }
    let refused = said(&empty.bundle_command(&["import", text(&delta)]).await, 1);
    assert!(refused.contains("the bundle leaves out "), "{refused}");
    said(&site.bundle_command(&["import", text(&delta)]).await, 0);
    for tag in ["v1", "v2"] {
        site.client().manifest(REPOSITORY, tag).await.expect(200);
    }
}
