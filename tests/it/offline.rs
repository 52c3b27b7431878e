//! An offline upstream is never asked: what is stored holds for ever, and what is not is a 404 at once
//! that says what there is.

use std::time::{Duration, Instant};

use integration_tests::client::{Answer, Client, IMAGES_ONLY};
use integration_tests::images::{self, Content, Flavor, Stored};
use integration_tests::proxy::{Archway, Setup, UPSTREAM, run};
use integration_tests::registry::{FakeRegistry, Referrers};
use integration_tests::wait::eventually;
use manifest_model::Digest;
use serde_json::{Value, json};

const REPOSITORY: &str = "team/app";
const HERE: &str = "linux/amd64";
const LEFT_OUT: &str = "linux/arm64/v8";

/// No tag is fresh, none may be served stale: with an upstream that is asked, it would be of no use.
const NO_PATIENCE: &str = "tag_ttl = \"0s\"\nstale_if_error = \"0s\"";

/// How long a 404 may take. The machine is shared with other tests; what would be asked or waited
/// for takes longer than this.
const AT_ONCE: Duration = Duration::from_millis(500);

const SBOM: &str = "application/vnd.example.sbom";
const SIGNATURE: &str = "application/vnd.example.signature";

/// A registry with an image for several platforms, and a cache with its index, one platform and what
/// is attached to the index.
struct Site {
    registry: FakeRegistry,
    archway: Archway,
    content: Content,
    attached: [Content; 2],
}

impl Site {
    async fn filled(lines: &str) -> Self {
        let content = images::multi_platform("app");
        let registry = FakeRegistry::with(REPOSITORY, "v1", &content).await;
        let attached =
            [SBOM, SIGNATURE].map(|kind| images::artifact("x", kind, Some(content.root())));
        for (name, artifact) in ["sbom", "signature"].iter().zip(&attached) {
            registry.push(REPOSITORY, name, artifact);
        }
        let archway = Setup::in_front_of_with(&registry, lines).start().await;
        let client = archway.client();
        client.manifest(REPOSITORY, "v1").await.expect(200);
        pull_image(&archway, content.child(HERE)).await;
        for artifact in &attached {
            let digest = artifact.root().digest;
            client.manifest(REPOSITORY, digest).await.expect(200);
            archway.stores(&digest).await;
        }
        Self {
            registry,
            archway,
            content,
            attached,
        }
    }

    /// The same cache, with an upstream that is never asked although it is there.
    async fn offline(lines: &str) -> Self {
        let online = Self::filled(lines).await;
        let asked = online.registry.log().all().len();
        let archway = online.archway.restart_with(TABLE, OFFLINE_TABLE).await;
        let site = Self { archway, ..online };
        assert_eq!(site.registry.log().all().len(), asked);
        site
    }

    fn asked(&self) -> usize {
        self.registry.log().all().len()
    }
}

const TABLE: &str = "[upstream.\"registry.test\"]\n";
const OFFLINE_TABLE: &str = "[upstream.\"registry.test\"]\noffline = true\n";

/// Everything of one image.
async fn pull_image(archway: &Archway, image: &Stored) {
    let client = archway.client();
    let manifest = client.manifest(REPOSITORY, image.digest).await.expect(200);
    for digest in blobs(&manifest.json()) {
        client.blob(REPOSITORY, digest).await.expect(200);
        archway.stores(&digest).await;
    }
    archway.stores(&image.digest).await;
}

fn blobs(image: &Value) -> Vec<Digest> {
    let layers = image["layers"].as_array().expect("layers").iter();
    let all = layers.chain([&image["config"]]);
    all.map(|blob| {
        blob["digest"]
            .as_str()
            .expect("a digest")
            .parse()
            .expect("a digest")
    })
    .collect()
}

/// As stored, without a mark of age.
#[track_caller]
fn is_hit(answer: Answer) -> Answer {
    let answer = answer.expect(200);
    assert_eq!(answer.header("archway-cache"), "hit", "{answer:?}");
    assert_eq!(answer.header("warning"), "", "{answer:?}");
    assert_eq!(answer.header("age"), "", "{answer:?}");
    answer
}

/// The detail of a 404.
#[track_caller]
fn absent(answer: &Answer, code: &str) -> Value {
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert_eq!(answer.error_code(), code, "{}", answer.text());
    assert_eq!(answer.header("archway-cache"), "");
    let detail = answer.json()["errors"][0]["detail"].clone();
    assert_eq!(detail["offline"], true, "{}", answer.text());
    detail
}

async fn at_once(client: &Client, path: &str) -> Answer {
    let asked = Instant::now();
    let answer = client.get(path).await;
    let took = asked.elapsed();
    assert!(took < AT_ONCE, "{path} took {took:?}");
    answer
}

fn message(answer: &Answer) -> String {
    let message = answer.json()["errors"][0]["message"].clone();
    message.as_str().expect("a message").to_owned()
}

#[tokio::test]
async fn what_is_stored_is_served_for_ever_and_nobody_is_asked() {
    let site = Site::offline(NO_PATIENCE).await;
    let asked = site.asked();
    let client = site.archway.client();
    let index = is_hit(client.manifest(REPOSITORY, "v1").await);
    assert_eq!(index.body, site.content.root().bytes);
    is_hit(
        client
            .manifest(REPOSITORY, site.content.root().digest)
            .await,
    );
    let child = site.content.child(HERE);
    let image = is_hit(client.manifest(REPOSITORY, child.digest).await);
    for digest in blobs(&image.json()) {
        is_hit(client.blob(REPOSITORY, digest).await);
        let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
        is_hit(client.head(&path).await);
    }
    let only_images = client.clone().accepting(&IMAGES_ONLY);
    let chosen = is_hit(only_images.manifest(REPOSITORY, "v1").await);
    assert_eq!(chosen.body, child.bytes);
    // Again, as a replay.
    is_hit(only_images.manifest(REPOSITORY, "v1").await);
    assert_eq!(site.asked(), asked);
}

#[tokio::test]
async fn a_child_that_was_left_out_is_a_404_that_names_the_platforms_there_are() {
    let site = Site::offline("").await;
    let client = site.archway.client();
    let child = site.content.child(LEFT_OUT).digest;
    let path = format!("/v2/{REPOSITORY}/manifests/{child}");
    // Before anybody has asked for its index since the start, and after.
    for _ in 0..2 {
        let answer = at_once(&client, &path).await;
        let detail = absent(&answer, "MANIFEST_UNKNOWN");
        assert_eq!(detail["platforms"], json!([HERE]));
        let said = message(&answer);
        assert!(
            said.contains(&format!("{UPSTREAM}/{REPOSITORY}:v1")),
            "{said}"
        );
        assert!(said.contains("not stored for linux/arm64"), "{said}");
        assert!(said.contains("it is here for linux/amd64"), "{said}");
        assert_eq!(answer.header("cache-control"), "max-age=5");
        client.manifest(REPOSITORY, "v1").await.expect(200);
    }
    // A client that takes no index is told the same for the tag.
    let by_tag = client
        .accepting(&IMAGES_ONLY)
        .with("archway-platform", "linux/arm64");
    let answer = at_once(&by_tag, &format!("/v2/{REPOSITORY}/manifests/v1")).await;
    let detail = absent(&answer, "MANIFEST_UNKNOWN");
    assert_eq!(detail["platforms"], json!([HERE]));
    assert_eq!(site.registry.gets_of(&child), 0);
}

#[tokio::test]
async fn names_and_blobs_that_are_not_here_are_404_and_say_what_is() {
    let site = Site::offline("").await;
    let (client, asked) = (site.archway.client(), site.asked());
    let answer = at_once(&client, "/v2/team/app/manifests/v9").await;
    assert_eq!(absent(&answer, "MANIFEST_UNKNOWN")["platforms"], json!([]));
    let said = message(&answer);
    assert!(
        said.contains("team/app:v9") && said.contains("there is v1"),
        "{said}"
    );
    let answer = at_once(&client, "/v2/team/other/manifests/latest").await;
    absent(&answer, "MANIFEST_UNKNOWN");
    let said = message(&answer);
    assert!(
        said.contains("nothing else of registry.test/team/other is stored"),
        "{said}"
    );
    let answer = at_once(&client, "/v2/team/other/tags/list").await;
    absent(&answer, "NAME_UNKNOWN");
    let nowhere = format!("sha256:{}", "0a".repeat(32));
    let answer = at_once(&client, &format!("/v2/team/app/blobs/{nowhere}")).await;
    absent(&answer, "BLOB_UNKNOWN");
    let head = client.head(&format!("/v2/team/app/blobs/{nowhere}")).await;
    assert_eq!(head.status, 404);
    // Of no use without the others: the image is not whole.
    let image = site.content.child(HERE);
    let lost = blobs(&serde_json::from_slice(&image.bytes).expect("JSON"))[1];
    let file = site
        .archway
        .cache_folder()
        .join("blobs/sha256")
        .join(lost.hex());
    std::fs::remove_file(file).expect("it is stored");
    client.manifest(REPOSITORY, image.digest).await.expect(200);
    let answer = at_once(&client, &format!("/v2/team/app/blobs/{lost}")).await;
    let detail = absent(&answer, "BLOB_UNKNOWN");
    assert_eq!(detail["platforms"], json!([]));
    let said = message(&answer);
    assert!(
        said.contains("team/app:v1") && said.contains(HERE),
        "{said}"
    );
    assert_eq!(site.asked(), asked);
}

#[tokio::test]
async fn tags_are_listed_page_by_page_as_stored() {
    let site = Site::filled("").await;
    for tag in ["a", "b", "v2", "z"] {
        site.registry.push(REPOSITORY, tag, &site.content);
        site.archway
            .client()
            .manifest(REPOSITORY, tag)
            .await
            .expect(200);
    }
    site.registry
        .push(REPOSITORY, "never-pulled", &site.content);
    let archway = site.archway.restart_with(TABLE, OFFLINE_TABLE).await;
    let (client, asked) = (archway.client(), site.registry.log().all().len());
    let path = "/v2/team/app/tags/list";
    let all = is_hit(client.get(path).await).json();
    assert_eq!(
        all,
        json!({ "name": REPOSITORY, "tags": ["a", "b", "v1", "v2", "z"] })
    );
    let (mut tags, mut next) = (Vec::new(), format!("{path}?n=2"));
    while !next.is_empty() {
        let page = is_hit(client.get(&next).await);
        let found = page.json()["tags"].as_array().expect("tags").clone();
        assert!(found.len() <= 2);
        tags.extend(found);
        let link = page.header("link").split(['<', '>']).nth(1);
        next = link.unwrap_or_default().to_owned();
    }
    assert_eq!(json!(tags), all["tags"]);
    // A cursor of the upstream, from before, leads to the start.
    let page = is_hit(client.get(&format!("{path}?next_page=opaque")).await);
    assert_eq!(page.json(), all);
    assert_eq!(site.registry.log().all().len(), asked);
}

#[tokio::test]
async fn referrers_are_those_that_are_stored() {
    let site = Site::filled("").await;
    let subject = site.content.root().digest;
    let path = format!("/v2/{REPOSITORY}/referrers/{subject}");
    // The upstream's list has one more, which nobody has pulled.
    let more = images::artifact("more", SBOM, Some(site.content.root()));
    site.registry.push(REPOSITORY, "more", &more);
    let listed = site.archway.client().get(&path).await.expect(200).json();
    assert_eq!(listed["manifests"].as_array().map(Vec::len), Some(3));
    let archway = site.archway.restart_with(TABLE, OFFLINE_TABLE).await;
    let (client, asked) = (archway.client(), site.registry.log().all().len());
    let digests = |answer: &Answer| {
        let listed = answer.json()["manifests"]
            .as_array()
            .expect("entries")
            .clone();
        let digests = listed.iter().map(|entry| entry["digest"].clone());
        digests.collect::<Vec<Value>>()
    };
    let mut expected: Vec<_> = site
        .attached
        .iter()
        .map(|one| json!(one.root().digest.to_string()))
        .collect();
    expected.sort_by_key(Value::to_string);
    let all = is_hit(client.get(&path).await);
    assert_eq!(all.header("content-type"), images::OCI_INDEX);
    assert_eq!(digests(&all), expected);
    assert_eq!(all.header("oci-filters-applied"), "");
    let filtered = is_hit(client.get(&format!("{path}?artifactType={SBOM}")).await);
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    let sbom = site.attached[0].root().digest.to_string();
    assert_eq!(digests(&filtered), [json!(sbom)]);
    assert_eq!(filtered.json()["manifests"][0]["artifactType"], SBOM);
    let unknown = format!("/v2/team/other/referrers/sha256:{}", "0a".repeat(32));
    assert!(digests(&is_hit(client.get(&unknown).await)).is_empty());
    assert_eq!(site.registry.log().all().len(), asked);
}

#[tokio::test]
async fn a_fallback_list_of_referrers_answers_both_ways_and_an_upstreams_no_is_no_more() {
    let image = images::single("app", HERE, Flavor::Oci);
    let registry = FakeRegistry::with(REPOSITORY, "v1", &image).await;
    registry.quirks(|quirks| quirks.referrers = Referrers::Missing);
    let subject = image.root();
    let tag = format!("sha256-{}", subject.digest.hex());
    let sbom = images::artifact("x", SBOM, Some(subject));
    let list = json!({ "schemaVersion": 2, "mediaType": images::OCI_INDEX, "manifests": [sbom.root().descriptor()] });
    let index = sbom.clone().under(images::OCI_INDEX, list.to_string());
    registry.push(REPOSITORY, &tag, &index);
    let archway = Setup::in_front_of(&registry).start().await;
    let client = archway.client();
    client.pull(REPOSITORY, "v1").await;
    let path = format!("/v2/{REPOSITORY}/referrers/{}", subject.digest);
    client.get(&path).await.expect(404);
    client.pull(REPOSITORY, &tag).await;
    let archway = archway.restart_with(TABLE, OFFLINE_TABLE).await;
    let listed = is_hit(archway.client().get(&path).await).json();
    let digest = sbom.root().digest.to_string();
    assert_eq!(listed["manifests"][0]["digest"], json!(digest));
    let by_tag = is_hit(archway.client().manifest(REPOSITORY, &tag).await);
    assert_eq!(by_tag.body, index.root().bytes);
}

/// What clients are told with the upstream gone: offline by decree, and only down.
#[tokio::test]
async fn what_is_missing_is_a_404_offline_and_trouble_when_the_upstream_is_only_down() {
    let site = Site::filled("").await;
    let (image, child) = (site.content.child(HERE), site.content.child(LEFT_OUT));
    let subject = site.content.root().digest;
    let rows = [
        // (path, offline, down: stale, hit or trouble)
        ("manifests/v1".to_owned(), "hit", "hit"),
        (format!("manifests/{}", image.digest), "hit", "hit"),
        (format!("manifests/{}", child.digest), "404", "5xx"),
        ("manifests/v9".to_owned(), "404", "5xx"),
        ("tags/list".to_owned(), "hit", "stale"),
        (format!("referrers/{subject}"), "hit", "stale"),
        (format!("referrers/{}", image.digest), "hit", "5xx"),
        (format!("blobs/sha256:{}", "0a".repeat(32)), "404", "5xx"),
    ];
    site.registry.close().await;
    let down = site.archway.restart().await;
    for (path, _, expected) in &rows {
        let answer = down.client().get(&format!("/v2/{REPOSITORY}/{path}")).await;
        assert_eq!(kind(&answer), *expected, "down: {path}");
    }
    let offline = down.restart_with(TABLE, OFFLINE_TABLE).await;
    for (path, expected, _) in &rows {
        let answer = at_once(&offline.client(), &format!("/v2/{REPOSITORY}/{path}")).await;
        assert_eq!(kind(&answer), *expected, "offline: {path}");
    }
}

fn kind(answer: &Answer) -> &'static str {
    match (answer.status.as_u16(), answer.header("archway-cache")) {
        (200, "hit") => "hit",
        (200, "stale") => "stale",
        (404, _) => "404",
        (500..600, _) => "5xx",
        _ => panic!("{answer:?}"),
    }
}

#[tokio::test]
async fn rules_work_on_stored_tags_and_leave_what_was_stored() {
    let registry = FakeRegistry::start().await;
    let sources = [("amd64", "linux/amd64"), ("arm64", "linux/arm64")];
    for (tag, platform) in sources {
        let image = images::single(tag, platform, Flavor::Oci);
        registry.push(REPOSITORY, tag, &image);
    }
    let whole = images::multi_platform("whole");
    registry.push(REPOSITORY, "whole", &whole);
    let rules = "[[upstream.\"registry.test\".virtual_index]]\nname = \"team/app:latest\"\n\
                 sources = [\"team/app:amd64\", \"team/app:arm64\"]\n\
                 [[upstream.\"registry.test\".alias]]\nname = \"team/app:one\"\n\
                 target = \"team/app:whole\"\nplatform = \"linux/arm64\"";
    let archway = Setup::in_front_of_with(&registry, rules).start().await;
    for (tag, _) in sources {
        archway.client().pull(REPOSITORY, tag).await;
    }
    archway.client().pull(REPOSITORY, "whole").await;
    let archway = archway.restart_with(TABLE, OFFLINE_TABLE).await;
    let (client, asked) = (archway.client(), registry.log().all().len());
    for _ in 0..2 {
        let index = is_hit(client.manifest(REPOSITORY, "latest").await);
        let index = index.json()["manifests"]
            .as_array()
            .expect("entries")
            .clone();
        assert_eq!(index.len(), 2);
        for entry in index {
            let child = entry["digest"].as_str().expect("a digest");
            is_hit(client.manifest(REPOSITORY, child).await);
        }
        let alias = is_hit(client.manifest(REPOSITORY, "one").await);
        assert_eq!(alias.body, whole.child(LEFT_OUT).bytes);
    }
    // What a rule makes passes for no tag of the upstream.
    let listed = client
        .get("/v2/team/app/tags/list")
        .await
        .expect(200)
        .json();
    assert_eq!(listed["tags"], json!(["amd64", "arm64", "whole"]));
    assert_eq!(registry.log().all().len(), asked);
}

#[tokio::test]
async fn bytes_that_another_upstream_has_brought_are_not_here() {
    let content = images::multi_platform("app");
    let ours = FakeRegistry::with(REPOSITORY, "v1", &content).await;
    let theirs = FakeRegistry::with(REPOSITORY, "v1", &content).await;
    let archway = Setup::in_front_of(&ours)
        .upstream("other.test", &theirs)
        .start()
        .await;
    let other = archway.client().with_query("ns", "other.test");
    archway
        .stores_all(&other.pull(REPOSITORY, "v1").await)
        .await;
    // Ours names the same child, and never sent it.
    archway
        .client()
        .manifest(REPOSITORY, "v1")
        .await
        .expect(200);
    let archway = archway.restart_with(TABLE, OFFLINE_TABLE).await;
    let client = archway.client();
    let child = content.child(HERE);
    let answer = client.manifest(REPOSITORY, child.digest).await;
    absent(&answer, "MANIFEST_UNKNOWN");
    let layer = blobs(&serde_json::from_slice(&child.bytes).expect("JSON"))[0];
    let answer = client.blob(REPOSITORY, layer).await;
    absent(&answer, "BLOB_UNKNOWN");
    assert!(archway.has_stored(&child.digest) && archway.has_stored(&layer));
}

#[tokio::test]
async fn one_upstream_is_offline_while_another_is_asked() {
    let content = images::multi_platform("app");
    let ours = FakeRegistry::with(REPOSITORY, "v1", &content).await;
    let theirs = FakeRegistry::with(REPOSITORY, "v1", &content).await;
    let archway = Setup::in_front_of_with(&ours, "offline = true")
        .upstream("other.test", &theirs)
        .start()
        .await;
    absent(
        &archway.client().manifest(REPOSITORY, "v1").await,
        "MANIFEST_UNKNOWN",
    );
    let other = archway.client().with_query("ns", "other.test");
    other.pull(REPOSITORY, "v1").await;
    assert_eq!(ours.log().all().len(), 0);
    let ready = archway.admin().get("/readyz").await.expect(200).text();
    assert_eq!(
        ready,
        "ready\nregistry.test is offline by configuration: served as stored\n"
    );
}

#[tokio::test]
async fn nothing_is_prefetched_or_refreshed_from_an_offline_upstream() {
    let content = images::multi_platform("app");
    let ours = FakeRegistry::with(REPOSITORY, "v1", &content).await;
    let other = FakeRegistry::with(REPOSITORY, "v1", &content).await;
    let due = "tag_ttl = \"0s\"";
    let archway = Setup::in_front_of_with(&ours, due)
        .upstream_with("another.test", &other, due)
        .prefetch("refresh = \"100ms\"")
        .start()
        .await;
    archway
        .client()
        .manifest(REPOSITORY, "v1")
        .await
        .expect(200);
    pull_image(&archway, content.child(HERE)).await;
    let archway = archway.restart_with(TABLE, OFFLINE_TABLE).await;
    let asked = ours.log().all().len();
    archway
        .client()
        .manifest(REPOSITORY, "v1")
        .await
        .expect(200);
    pull_image(&archway, content.child(HERE)).await;
    let asks_other = archway.client().with_query("ns", "another.test");
    asks_other.pull(REPOSITORY, "v1").await;
    // Two rounds over the tags of both, the other one's first.
    let rounds = other.log().heads("/manifests/v1") + 3;
    eventually("tags are asked for again", async || {
        (other.log().heads("/manifests/v1") >= rounds).then_some(())
    })
    .await;
    assert_eq!(ours.log().all().len(), asked);
}

#[tokio::test]
async fn commands_tell_offline_from_down() {
    let registry = FakeRegistry::with_app().await.0;
    let setup = Setup::in_front_of_with(&registry, "offline = true");
    let doctor = setup
        .clone()
        .run(&["doctor", "upstreams", "--config", "CONFIG"])
        .await;
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(
        doctor.status.success() && said.contains("offline by configuration"),
        "{said}"
    );
    assert_eq!(registry.log().all().len(), 0);
    let archway = setup.start().await;
    let admin = format!("--admin={}", archway.admin_url());
    let name = format!("{UPSTREAM}/team/app:v1");
    let ready = run(&["ready", &name, "--platform", HERE, &admin]).await;
    let said = String::from_utf8_lossy(&ready.stdout).into_owned();
    assert_eq!(ready.status.code(), Some(1));
    assert!(said.contains("its upstream is offline"), "{said}");
    let images = run(&["images", &admin]).await;
    let said = String::from_utf8_lossy(&images.stdout).into_owned();
    assert!(
        said.contains("offline, so this is all there is: registry.test"),
        "{said}"
    );
    let log = archway.log().text();
    let event =
        "these upstreams are offline by configuration: only what is stored of them is served";
    assert!(log.contains(event), "{log}");
}
