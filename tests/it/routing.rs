//! All ways to name an upstream, their order, and that nothing else can be reached.

use http::{HeaderValue, header};
use integration_tests::client::{Answer, Client, blob_path};
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, Flavor};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::{FakeRegistry, TagsLast};
use serde_json::json;

const HOST: &str = "registry.test";

/// A client as it is configured in one of the ways, and the repository as it writes it.
struct Way {
    name: &'static str,
    client: Client,
    prefix: &'static str,
}

impl Way {
    fn repository(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// Every way that names `HOST`; the second listener and the virtual host belong to it.
fn ways(archway: &Archway) -> Vec<Way> {
    let url = archway.url();
    let way = |name, client, prefix| Way {
        name,
        client,
        prefix,
    };
    vec![
        way("?ns=", Client::new(&url).with_query("ns", HOST), ""),
        way("/HOST/v2/", Client::new(&format!("{url}/{HOST}")), ""),
        way("/v2/HOST/", Client::new(&url), "registry.test/"),
        way(
            "virtual host",
            Client::new(&url).with("host", "mirror.example"),
            "",
        ),
        way("listener", Client::new(&archway.url_at("127.0.0.2")), ""),
    ]
}

async fn start(registry: &FakeRegistry, elsewhere: &FakeRegistry) -> Archway {
    Setup::new()
        .listener("127.0.0.1", "")
        .listener("127.0.0.2", "upstream = \"registry.test\"")
        .upstream_with(HOST, registry, "hosts = [\"mirror.example\"]")
        .upstream("docker.io", elsewhere)
        .start()
        .await
}

#[tokio::test]
async fn every_way_to_name_an_upstream_leads_to_it() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let elsewhere = FakeRegistry::start().await;
    let archway = start(&registry, &elsewhere).await;
    for way in ways(&archway) {
        let repository = way.repository("team/app");
        let pulled = way.client.pull(&repository, "v1").await;
        assert_eq!(pulled.root, content.root().digest, "{}", way.name);
        let blob = blob_path(&repository, content.blobs[0].digest());
        let tags = format!("/v2/{repository}/tags/list");
        for path in [&blob, &tags] {
            let answer = way.client.get(path).await.expect(200);
            assert_eq!(answer.header("oci-namespace"), HOST, "{} {path}", way.name);
        }
    }
    assert!(elsewhere.log().all().is_empty(), "nobody else was asked");
    for part in &content.blobs {
        assert_eq!(
            registry.gets_of(&part.digest()),
            1,
            "all ways share one entry"
        );
    }
}

#[tokio::test]
async fn a_name_without_a_host_means_the_default_upstream() {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let answer = archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(200);
    assert_eq!(answer.header("oci-namespace"), HOST);
}

#[tokio::test]
async fn one_word_names_of_docker_io_lie_in_library() {
    let content = images::multi_platform("hello");
    let registry = FakeRegistry::with("library/hello", "v1", &content).await;
    let archway = Setup::new().upstream("docker.io", &registry).start().await;
    let client = archway.client();
    for name in [
        "hello",
        "library/hello",
        "docker.io/hello",
        "docker.io/library/hello",
    ] {
        let answer = client.manifest(name, "v1").await.expect(200);
        assert_eq!(answer.body, content.root().bytes, "{name}");
        assert_eq!(answer.header("oci-namespace"), "docker.io");
        client
            .blob(name, content.blobs[0].digest())
            .await
            .expect(200);
    }
    let ns = client.clone().with_query("ns", "docker.io");
    ns.manifest("library/hello", "v1").await.expect(200);
    for entry in registry.log().all() {
        assert!(
            entry.path.starts_with("/v2/library/hello/"),
            "{}",
            entry.path
        );
    }
    assert_eq!(
        registry.log().gets("/blobs/"),
        1,
        "all spellings share one entry"
    );
}

#[tokio::test]
async fn other_registries_have_no_library() {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    archway.client().manifest("app", "v1").await.expect(200);
}

#[tokio::test]
async fn the_query_beats_the_path_the_path_the_host_and_the_host_the_listener() {
    let mut registries = Vec::new();
    for name in ["query", "path", "vhost", "listener", "default"] {
        let content = images::single(name, "linux/amd64", Flavor::Oci);
        registries.push(FakeRegistry::with("team/app", "v1", &content).await);
    }
    let archway = Setup::new()
        .top("default_upstream = \"default.test\"")
        .listener("127.0.0.1", "upstream = \"listener.test\"")
        .listener("127.0.0.2", "")
        .upstream("query.test", &registries[0])
        .upstream("path.test", &registries[1])
        .upstream_with("vhost.test", &registries[2], "hosts = [\"mirror.example\"]")
        .upstream("listener.test", &registries[3])
        .upstream("default.test", &registries[4])
        .start()
        .await;
    let (first, second) = (archway.url(), archway.url_at("127.0.0.2"));
    let path = "/v2/team/app/manifests/v1";
    let with_host = |base: &str| Client::new(base).with("host", "mirror.example");
    let of = async |client: Client, path: &str| {
        let answer = client.get(path).await.expect(200);
        answer.header("oci-namespace").to_owned()
    };
    let all = with_host(&format!("{first}/path.test")).with_query("ns", "query.test");
    assert_eq!(of(all, path).await, "query.test");
    assert_eq!(
        of(with_host(&format!("{first}/path.test")), path).await,
        "path.test"
    );
    let inside = "/v2/path.test/team/app/manifests/v1";
    assert_eq!(of(with_host(&first), inside).await, "path.test");
    assert_eq!(of(with_host(&first), path).await, "vhost.test");
    assert_eq!(of(Client::new(&first), path).await, "listener.test");
    assert_eq!(of(Client::new(&second), path).await, "default.test");
}

#[tokio::test]
async fn a_host_that_is_not_configured_is_unknown_and_the_answer_names_the_key() {
    let registry = FakeRegistry::start().await;
    let elsewhere = FakeRegistry::start().await;
    let archway = start(&registry, &elsewhere).await;
    let url = archway.url();
    let ways = [
        (Client::new(&url).with_query("ns", "ghost.test"), "team/app"),
        (Client::new(&format!("{url}/ghost.test")), "team/app"),
        (Client::new(&url), "ghost.test/team/app"),
    ];
    for (client, repository) in ways {
        let answer = client.manifest(repository, "v1").await.expect(404);
        assert_eq!(answer.error_code(), "NAME_UNKNOWN");
        let text = answer.json().to_string();
        assert!(
            text.contains("upstream") && text.contains("ghost.test"),
            "{text}"
        );
    }
    assert!(registry.log().all().is_empty() && elsewhere.log().all().is_empty());
}

#[tokio::test]
async fn a_pattern_reaches_the_hosts_it_fits_and_no_others() {
    let host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::new()
        .upstream_with(
            "*.dkr.ecr.*.amazonaws.com",
            &registry,
            "auth = \"anonymous\"",
        )
        .start()
        .await;
    let client = archway.client();
    let answer = client
        .clone()
        .with_query("ns", host)
        .manifest("team/app", "v1")
        .await;
    assert_eq!(answer.expect(200).header("oci-namespace"), host);
    let near = "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.test";
    let answer = client
        .with_query("ns", near)
        .manifest("team/app", "v1")
        .await;
    assert_eq!(answer.expect(404).error_code(), "NAME_UNKNOWN");
}

/// Where the `Link` of an answer leads, as the client at `base` would resolve it.
fn next_page(base: &str, answer: &Answer) -> Option<String> {
    let link = answer.headers.get(header::LINK)?.to_str().expect("visible");
    let target = link
        .trim_start_matches('<')
        .split_once('>')
        .expect("<target>")
        .0;
    assert!(
        link.contains("rel=\"next\"") || link.contains("rel=next"),
        "{link}"
    );
    Some(target.strip_prefix(base).unwrap_or(target).to_owned())
}

#[tokio::test]
async fn the_next_page_of_tags_is_named_in_the_clients_own_form() {
    let registry = FakeRegistry::start().await;
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    for tag in ["a", "b", "c", "d", "e"] {
        registry.push("team/app", tag, &content);
    }
    let elsewhere = FakeRegistry::start().await;
    let archway = start(&registry, &elsewhere).await;
    for last in [TagsLast::Tag, TagsLast::Opaque, TagsLast::Cursor] {
        registry.quirks(|quirks| quirks.tags_last = last);
        for way in ways(&archway) {
            let base = match way.name {
                "listener" => archway.url_at("127.0.0.2"),
                _ => archway.url(),
            };
            // From the second page on the plain client goes where it is sent, without help.
            let plain = match way.name {
                "virtual host" => Client::new(&base).with("host", "mirror.example"),
                _ => Client::new(&base),
            };
            let mut tags = Vec::new();
            let first = format!("/v2/{}/tags/list?n=2", way.repository("team/app"));
            let mut page = way.client.get(&first).await.expect(200);
            loop {
                let body = page.json();
                let names = body["tags"].as_array().expect("a list").clone();
                assert!(names.len() <= 2, "{}: {body}", way.name);
                tags.extend(names);
                assert!(tags.len() <= 5, "{} {last:?}: {tags:?}", way.name);
                let Some(path) = next_page(&base, &page) else {
                    break;
                };
                assert!(path.starts_with('/'), "{}: {path}", way.name);
                page = plain.get(&path).await.expect(200);
            }
            assert_eq!(
                json!(tags),
                json!(["a", "b", "c", "d", "e"]),
                "{} {last:?}",
                way.name
            );
        }
    }
}

#[tokio::test]
async fn a_next_page_that_is_the_page_asked_for_is_the_upstreams_mistake() {
    let (registry, _) = FakeRegistry::with_app().await;
    let link = HeaderValue::from_static("</v2/team/app/tags/list?last=a&x=1>; rel=\"next\"");
    registry
        .faults()
        .add(On::path("/tags/list"), Fault::Header(header::LINK, link));
    let archway = Setup::in_front_of(&registry).start().await;
    let page = "/v2/team/app/tags/list";
    let first = archway.client().get(page).await.expect(200);
    let again = next_page(&archway.url(), &first).expect("a next page");
    archway.client().get(&again).await.expect(502);
    let long = format!("{page}?last={}", "a".repeat(5000));
    let answer = archway.client().get(&long).await.expect(400);
    assert_eq!(answer.error_code(), "UNSUPPORTED");
}

#[tokio::test]
async fn a_platform_path_combines_with_every_way_and_every_endpoint() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let archway = Setup::in_front_of(&registry).start().await;
    let child = content.child("linux/arm64/v8");
    let bases = [
        ("/platform/linux-arm64/v2/team/app", ""),
        ("/platform/linux-arm64/registry.test/v2/team/app", ""),
        ("/v2/platform/linux-arm64/team/app", ""),
        ("/v2/platform/linux-arm64/registry.test/team/app", ""),
        ("/platform/linux-arm64/v2/team/app", "?ns=registry.test"),
        ("/v2/platform/linux-arm64/team/app", "?ns=registry.test"),
        (
            "/v2/platform/linux-arm64/registry.test/team/app",
            "?ns=registry.test",
        ),
    ];
    for (base, query) in bases {
        let client = archway.client();
        let answer = client
            .get(&format!("{base}/manifests/v1{query}"))
            .await
            .expect(200);
        assert_eq!(answer.body, child.bytes, "{base}");
        assert_eq!(
            answer.header("archway-platform"),
            "linux/arm64; source=path"
        );
        let by_digest = format!("{base}/manifests/{}{query}", content.root().digest);
        let answer = client.get(&by_digest).await.expect(200);
        assert_eq!(
            answer.body,
            content.root().bytes,
            "{base}: a digest is a digest"
        );
        let blob = format!("{base}/blobs/{}{query}", content.blobs[0].digest());
        client.get(&blob).await.expect(200);
        let tags = client
            .get(&format!("{base}/tags/list{query}"))
            .await
            .expect(200);
        assert_eq!(tags.json()["tags"], json!(["v1"]));
    }
    for ping in [
        "/platform/linux-arm64/v2/",
        "/platform/linux-arm64/registry.test/v2/",
    ] {
        archway.client().get(ping).await.expect(200);
    }
}

#[tokio::test]
async fn repositories_called_platform_are_pulled_like_others() {
    let name = "platform/arm64/web";
    let content = images::multi_platform("called so");
    let registry = FakeRegistry::with(name, "v1", &content).await;
    registry.push("web", "v1", &images::multi_platform("another"));
    registry.push("platform/go-api", "v1", &content);
    let elsewhere = FakeRegistry::start().await;
    let archway = start(&registry, &elsewhere).await;
    for way in &ways(&archway)[..3] {
        let pulled = way.client.pull(&way.repository(name), "v1").await;
        assert_eq!(pulled.root, content.root().digest, "{}", way.name);
    }
    for way in ways(&archway) {
        let repository = way.repository("platform/go-api");
        let pulled = way.client.pull(&repository, "v1").await;
        assert_eq!(pulled.root, content.root().digest, "{}", way.name);
    }
}
