//! Learned prefetch: what clients really pull is here before they ask for it again, and nothing
//! else is.

use http::StatusCode;
use integration_tests::client::blob_path;
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, Content, Flavor};
use integration_tests::proxy::{self, Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::{eventually, within};
use manifest_model::Digest;
use serde_json::Value;
use tokio::task::JoinSet;

const ARM64: &str = "linux/arm64/v8";
const CRIO_ARM64: &str = "cri-o/1.33.2 go/go1.24.4 os/linux arch/arm64";
const LEARNED: &str = "mode = \"learned\"";

/// The manifest of one platform's image and the digests of its config and layers.
fn image(content: &Content, platform: &str) -> (Digest, Vec<Digest>) {
    let child = content.child(platform);
    let manifest: Value = serde_json::from_slice(&child.bytes).expect("JSON");
    let layers = manifest["layers"].as_array().expect("layers").iter();
    let blobs = layers.chain([&manifest["config"]]).map(|blob| {
        let digest = blob["digest"].as_str().expect("a digest");
        digest.parse().expect("a digest")
    });
    (child.digest, blobs.collect())
}

/// Pulls the image of one platform as a node does.
async fn pull(archway: &Archway, repository: &str, content: &Content, platform: &str) {
    let client = archway.client();
    client.manifest(repository, "v1").await.expect(200);
    let (manifest, blobs) = image(content, platform);
    client
        .manifest(repository, &manifest.to_string())
        .await
        .expect(200);
    for digest in blobs {
        client
            .blob(repository, &digest.to_string())
            .await
            .expect(200);
        archway.stores(&digest).await;
    }
}

/// Waits until the image of one platform is stored, whoever has asked for it.
async fn stores(archway: &Archway, content: &Content, platform: &str) {
    let (manifest, blobs) = image(content, platform);
    for digest in blobs.into_iter().chain([manifest]) {
        archway.stores(&digest).await;
    }
}

/// Waits until the manifest and the config of one platform's image are stored.
async fn stores_config(archway: &Archway, content: &Content, platform: &str) {
    let (manifest, blobs) = image(content, platform);
    archway.stores(&manifest).await;
    archway.stores(blobs.last().expect("a config")).await;
}

fn has_any(archway: &Archway, content: &Content, platform: &str) -> bool {
    let (_, blobs) = image(content, platform);
    blobs.iter().any(|digest| archway.has_stored(digest))
}

/// An Archway that learns from what is pulled.
async fn learning(registry: &FakeRegistry) -> Archway {
    let setup = Setup::in_front_of(registry).prefetch(LEARNED);
    setup.start().await
}

/// Repositories `app00`, ... each with an image for three platforms; `version` makes them differ.
fn push_all(registry: &FakeRegistry, number: usize, version: &str) -> Vec<(String, Content)> {
    let push = |at| {
        let name = format!("app{at:02}");
        let content = images::multi_platform(&format!("{name}-{version}"));
        registry.push(&name, "v1", &content);
        (name, content)
    };
    (0..number).map(push).collect()
}

#[tokio::test]
async fn a_moved_tag_is_here_for_the_platforms_that_are_pulled_before_anyone_asks() {
    let registry = FakeRegistry::start().await;
    let first = push_all(&registry, 30, "one");
    let lines = format!("{LEARNED}\nrefresh = \"200ms\"");
    let archway = Setup::in_front_of_with(&registry, "tag_ttl = \"0s\"")
        .prefetch(&lines)
        .start()
        .await;
    for (name, content) in &first {
        pull(&archway, name, content, "linux/amd64").await;
        pull(&archway, name, content, ARM64).await;
    }
    let second = push_all(&registry, 30, "two");
    for (_, content) in &second {
        stores(&archway, content, "linux/amd64").await;
        stores(&archway, content, ARM64).await;
        assert!(!has_any(&archway, content, "linux/arm/v7"));
    }
    // What was learned is not lost with the process.
    let archway = archway.restart().await;
    let third = push_all(&registry, 30, "three");
    for (_, content) in &third {
        stores(&archway, content, "linux/amd64").await;
        stores(&archway, content, ARM64).await;
    }
    let (mut stored, mut all) = (0, 0);
    for (_, content) in &third {
        for blob in &content.blobs {
            all += blob.size();
            if archway.has_stored(&blob.digest()) {
                stored += blob.size();
            }
        }
        assert!(!has_any(&archway, content, "linux/arm/v7"));
    }
    assert!(
        stored * 100 < all * 68,
        "{stored} of {all} bytes: two platforms of three"
    );
}

#[tokio::test]
async fn what_is_off_asks_for_no_tag_although_much_was_learned() {
    let registry = FakeRegistry::start().await;
    let all = push_all(&registry, 2, "one");
    let lines = format!("{LEARNED}\nrefresh = \"200ms\"");
    let mut archway = Setup::in_front_of_with(&registry, "tag_ttl = \"0s\"")
        .prefetch(&lines)
        .start()
        .await;
    pull(&archway, &all[0].0, &all[0].1, ARM64).await;
    let path = format!("/{}/manifests/", all[0].0);
    eventually("the tag is asked for again", async || {
        (registry.log().heads(path.as_str()) > 0).then_some(())
    })
    .await;
    archway.terminate();
    archway.ended().await;
    let archway = archway.restart_with(LEARNED, "mode = \"off\"").await;
    let before = registry.log().heads(path.as_str());
    pull(&archway, &all[1].0, &all[1].1, ARM64).await;
    eventually("the images are counted", async || {
        let metrics = archway.admin().get("/metrics").await.text();
        metrics.contains("archway_images{").then_some(())
    })
    .await;
    assert_eq!(registry.log().heads(path.as_str()), before);
}

#[tokio::test]
async fn an_upstream_in_trouble_is_left_alone_for_the_rest_of_the_round() {
    let (troubled, well) = (FakeRegistry::start().await, FakeRegistry::start().await);
    push_all(&troubled, 3, "one");
    push_all(&well, 1, "one");
    let mut archway = Setup::new()
        .upstream_with("a.test", &troubled, "tag_ttl = \"0s\"")
        .upstream_with("z.test", &well, "tag_ttl = \"0s\"")
        .prefetch(&format!("{LEARNED}\nrefresh = \"200ms\""))
        .start()
        .await;
    for name in [
        "a.test/app00",
        "a.test/app01",
        "a.test/app02",
        "z.test/app00",
    ] {
        archway.client().manifest(name, "v1").await.expect(200);
    }
    let heads = |name| troubled.log().heads(name);
    let names = ["/app00/", "/app01/", "/app02/"];
    eventually("all are asked for again", async || {
        let all = names.iter().all(|name| heads(*name) > 0);
        (all && well.log().heads("/app00/") > 0).then_some(())
    })
    .await;
    archway.terminate();
    archway.ended().await;
    let down = Fault::Status(StatusCode::INTERNAL_SERVER_ERROR);
    troubled.faults().add(On::all(), down);
    let (before, last) = (names.map(heads), well.log().heads("/app00/"));
    let _archway = archway.restart_with("\"200ms\"", "\"1h\"").await;
    // It comes last.
    eventually("the other upstream is asked", async || {
        (well.log().heads("/app00/") > last).then_some(())
    })
    .await;
    let asked = std::iter::zip(before, names.map(heads)).filter(|(before, now)| now > before);
    assert_eq!(asked.count(), 1);
}

#[tokio::test]
async fn layers_begin_to_arrive_when_their_manifest_is_asked_for() {
    let registry = FakeRegistry::start().await;
    let single = |name| images::single(name, "linux/amd64", Flavor::Oci);
    let (one, two) = (single("one"), single("two"));
    registry.push("app", "v1", &one);
    registry.push("app", "v2", &two);
    let archway = learning(&registry).await;
    pull(&archway, "app", &one, "linux/amd64").await;
    archway.client().manifest("app", "v2").await.expect(200);
    stores(&archway, &two, "linux/amd64").await;
    let warmed = r#"archway_prefetched_blobs_total{result="warmed"}"#;
    eventually("they are counted", async || {
        (archway.metric(warmed).await == Some(3)).then_some(())
    })
    .await;
    pull(&archway, "app", &two, "linux/amd64").await;
    let used = r#"archway_prefetched_blobs_total{result="used"}"#;
    assert_eq!(archway.metric(used).await, Some(3));
    let (_, blobs) = image(&two, "linux/amd64");
    for digest in blobs {
        assert_eq!(registry.gets_of(&digest), 1, "downloaded once");
    }
}

#[tokio::test]
async fn reading_manifests_teaches_nothing() {
    let registry = FakeRegistry::start().await;
    let all = push_all(&registry, 2, "one");
    let archway = learning(&registry).await;
    let (name, content) = &all[0];
    let client = archway.client();
    client.manifest(name, "v1").await.expect(200);
    for child in &content.manifests {
        client
            .manifest(name, &child.digest.to_string())
            .await
            .expect(200);
    }
    // One real pull, so that there is something to wait for.
    pull(&archway, name, content, ARM64).await;
    let (name, content) = &all[1];
    client.manifest(name, "v1").await.expect(200);
    stores_config(&archway, content, ARM64).await;
    for platform in ["linux/amd64", "linux/arm/v7"] {
        let (manifest, _) = image(content, platform);
        assert_eq!(registry.gets_of(&manifest), 0, "{platform}");
    }
}

#[tokio::test]
async fn a_hint_teaches_although_the_index_is_handed_out() {
    let registry = FakeRegistry::start().await;
    let all = push_all(&registry, 2, "one");
    let archway = learning(&registry).await;
    let crio = archway.client().with("user-agent", CRIO_ARM64);
    let answer = crio.manifest(&all[0].0, "v1").await.expect(200);
    assert_eq!(answer.body, all[0].1.root().bytes);
    stores_config(&archway, &all[0].1, ARM64).await;
    archway.client().manifest(&all[1].0, "v1").await.expect(200);
    stores_config(&archway, &all[1].1, ARM64).await;
    assert!(!has_any(&archway, &all[1].1, "linux/amd64"));
}

/// A manifest costs a client nothing to ask for, and a layer costs the cache much.
#[tokio::test]
async fn of_a_repository_without_pulled_layers_only_manifests_and_configs_come_ahead() {
    let registry = FakeRegistry::start().await;
    let all = push_all(&registry, 13, "one");
    let archway = learning(&registry).await;
    pull(&archway, &all[0].0, &all[0].1, ARM64).await;
    for (name, _) in &all[1..] {
        archway.client().manifest(name, "v1").await.expect(200);
    }
    for (_, content) in &all[1..] {
        stores_config(&archway, content, ARM64).await;
        let (_, blobs) = image(content, ARM64);
        let (_, layers) = blobs.split_last().expect("a config");
        assert!(!layers.iter().any(|layer| registry.gets_of(layer) > 0));
    }
}

#[tokio::test]
async fn what_comes_ahead_has_a_budget_for_each_upstream() {
    let registry = FakeRegistry::start().await;
    let all = push_all(&registry, 2, "one");
    registry.push(&all[0].0, "v2", &all[1].1);
    let lines = format!("{LEARNED}\nhourly_budget = \"1B\"");
    let archway = Setup::in_front_of(&registry).prefetch(&lines).start().await;
    pull(&archway, &all[0].0, &all[0].1, ARM64).await;
    archway.client().manifest(&all[0].0, "v2").await.expect(200);
    let (manifest, blobs) = image(&all[1].1, ARM64);
    archway.stores(&manifest).await;
    let refused = r#"archway_prefetched_blobs_total{result="over_budget"}"#;
    eventually("they are counted", async || {
        (archway.metric(refused).await == Some(blobs.len() as u64)).then_some(())
    })
    .await;
    assert!(!has_any(&archway, &all[1].1, ARM64));
}

/// The first step against a lack of memory: who asks is served, and what nobody asks for waits.
#[tokio::test]
async fn while_memory_is_short_nothing_comes_ahead() {
    let registry = FakeRegistry::start().await;
    let (name, content) = &push_all(&registry, 1, "one")[0];
    let archway = Setup::in_front_of(&registry)
        .prefetch(LEARNED)
        .table("[server]\nmemory = \"1MiB\"")
        .start()
        .await;
    eventually("memory is short", async || {
        (archway.metric("archway_memory_steps").await == Some(3)).then_some(())
    })
    .await;
    let crio = archway.client().with("user-agent", CRIO_ARM64);
    crio.manifest(name, "v1").await.expect(200);
    // The image's manifest costs next to nothing; from here on its config is due.
    archway.stores(&image(content, ARM64).0).await;
    eventually("the image waits", async || {
        (archway.metric("archway_prefetch_waiting").await >= Some(1)).then_some(())
    })
    .await;
    pull(&archway, name, content, ARM64).await;
    let warmed = r#"archway_prefetched_blobs_total{result="warmed"}"#;
    assert_eq!(archway.metric(warmed).await, Some(0));
}

#[tokio::test]
async fn a_head_starts_no_download_and_off_means_off() {
    let registry = FakeRegistry::start().await;
    let all = push_all(&registry, 2, "one");
    for lines in [LEARNED, "mode = \"off\""] {
        let archway = Setup::in_front_of(&registry).prefetch(lines).start().await;
        pull(&archway, &all[0].0, &all[0].1, ARM64).await;
        let (name, content) = &all[1];
        let head = format!("/v2/{name}/manifests/v1");
        archway.client().head(&head).await.expect(200);
        if lines != LEARNED {
            archway.client().get(&head).await.expect(200);
        }
        // A pull of something else in between: what was to be started by then is.
        let (_, blobs) = image(&all[0].1, "linux/amd64");
        let path = blob_path(&all[0].0, &blobs[0].to_string());
        archway.client().get(&path).await.expect(200);
        let (manifest, _) = image(content, ARM64);
        assert_eq!(registry.gets_of(&manifest), 0, "{lines}");
    }
}

#[tokio::test]
async fn downloads_ahead_wait_while_clients_have_theirs() {
    let registry = FakeRegistry::start().await;
    let all = push_all(&registry, 2, "one");
    registry.push(&all[0].0, "v2", &all[1].1);
    let archway = Setup::in_front_of(&registry)
        .prefetch(LEARNED)
        .cache("max_fills = 2")
        .start()
        .await;
    pull(&archway, &all[0].0, &all[0].1, ARM64).await;
    // A client's download that does not end takes half of the slots.
    let (_, held) = image(&all[0].1, "linux/amd64");
    let path = held[0].to_string();
    let gate = registry.faults().hold_body(On::path(&path), 100);
    // A body this small is verified before its head goes out, so the answer is waited for beside.
    let client = archway.client();
    let held_path = blob_path(&all[0].0, &path);
    let mut slow = JoinSet::new();
    slow.spawn(async move { client.get(&held_path).await });
    eventually("the download is under way", async || {
        (registry.gets_of(&held[0]) > 0).then_some(())
    })
    .await;
    archway.client().manifest(&all[0].0, "v2").await.expect(200);
    // The manifest is small and comes at once; then the layers wait.
    let (manifest, blobs) = image(&all[1].1, ARM64);
    archway.stores(&manifest).await;
    // A client's own pull has the slot that is left.
    pull(&archway, &all[0].0, &all[0].1, "linux/arm/v7").await;
    let started = |digest: &Digest| registry.gets_of(digest) > 0;
    assert!(!blobs.iter().any(started));
    gate.open();
    let answer = within("the client has its blob", slow.join_next()).await;
    answer.expect("a task").expect("no panic in it").expect(200);
    stores(&archway, &all[1].1, ARM64).await;
}

#[tokio::test]
async fn warm_brings_what_it_is_told_for_the_platforms_it_is_told() {
    let registry = FakeRegistry::start().await;
    let all = push_all(&registry, 3, "one");
    let archway = Setup::in_front_of(&registry).start().await;
    let list = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(
        list.path(),
        "# more\nregistry.test/app01:v1  # a comment\n\n",
    )
    .expect("writable");
    let list = list.path().to_str().expect("a plain path");
    let (server, admin) = (archway.url(), archway.admin_url());
    let place = ["--server", &server, "--admin", &admin];
    let platforms = ["--platform", "linux/amd64,linux/arm64"];
    let ask = ["warm", "registry.test/app00:v1", "--from-file", list];
    let output = proxy::run(&[&ask[..], &platforms, &place].concat()).await;
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{out}");
    assert_eq!(out.matches("  cached\n").count(), 4, "{out}");
    for (_, content) in &all[..2] {
        stores(&archway, content, "linux/amd64").await;
        stores(&archway, content, ARM64).await;
        assert!(!has_any(&archway, content, "linux/arm/v7"));
    }
    let (_, blobs) = image(&all[2].1, ARM64);
    assert!(!blobs.iter().any(|digest| archway.has_stored(digest)));
    let none = [
        "warm",
        "registry.test/app00:v1",
        "--platform",
        "linux/s390x",
    ];
    let output = proxy::run(&[&none[..], &place].concat()).await;
    assert_eq!(output.status.code(), Some(1));
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(out.contains("failed: 404"), "{out}");
}
