//! A listener with a certificate: every protocol in use, the same bytes as in the clear, and harm
//! from nobody.

use http::{Method, Version};
use integration_tests::client::{Client, Dialect, End, Http, Tls, blob_path, raw};
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, BigBlob, Blob};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::tls::{Authority, Mounted};
use integration_tests::wait::{eventually, within};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const LARGE: u64 = 64 << 20;
const RECENT: Dialect = Dialect::new(Tls::V13, Http::Two);

/// An Archway whose only listener is behind TLS, in front of a registry with this blob.
struct Site {
    registry: FakeRegistry,
    archway: Archway,
    authority: Authority,
    _mounted: Mounted,
}

impl Site {
    async fn with(blob: &Blob, table: &str) -> Self {
        let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(blob)).await;
        let authority = Authority::new("authority.test");
        let mounted = Mounted::with(&authority.issue());
        let archway = Setup::in_front_of(&registry)
            .listener("127.0.0.1", &mounted.line())
            .table(table)
            .log_level("info,proxy=debug")
            .start()
            .await;
        Self {
            registry,
            archway,
            authority,
            _mounted: mounted,
        }
    }

    fn client(&self, dialect: Dialect) -> Client {
        Client::over_tls(&self.archway.https_url(), &self.authority, dialect)
    }

    /// How many handshakes ended like this.
    async fn handshakes(&self, result: &str, version: &str) -> Option<u64> {
        let text = self.archway.admin().get("/metrics").await.text();
        let name =
            format!("archway_tls_handshakes_total{{result=\"{result}\",version=\"{version}\"}} ");
        let count = text.lines().find_map(|line| line.strip_prefix(&name))?;
        Some(count.parse().expect("a count"))
    }

    async fn counts(&self, result: &str) {
        let what = format!("a handshake is counted as {result}");
        eventually(&what, async || self.handshakes(result, "none").await).await;
    }
}

fn small() -> Blob {
    BigBlob::new("small", 100_000).into()
}

#[tokio::test]
async fn every_version_of_tls_and_http_gives_the_exact_bytes_and_ranges_of_them() {
    let blob = Blob::from(BigBlob::new("large", LARGE));
    let site = Site::with(&blob, "").await;
    let path = blob_path("team/app", blob.digest());
    for dialect in Dialect::ALL {
        let client = site.client(dialect);
        client.pull("team/app", "v1").await;
        let whole = client.open(Method::GET, &path).await;
        let expected = match dialect.http {
            Http::One => Version::HTTP_11,
            Http::Two => Version::HTTP_2,
        };
        assert_eq!(whole.version(), expected, "{dialect:?}");
        assert_eq!(
            whole.finish(&blob).await,
            End::Complete(LARGE),
            "{dialect:?}"
        );

        let range = client.with("range", "bytes=30000001-60000000");
        let range = range.get(&path).await.expect(206);
        assert_eq!(range.body.len(), 30_000_000, "{dialect:?}");
        assert!(blob.holds_at(30_000_001, &range.body), "{dialect:?}");
    }
    assert_eq!(site.registry.bytes_of(&blob.digest()), blob.size());
    for version in ["1.2", "1.3"] {
        // A client may open a second connection before its first is back in its pool.
        let count = site.handshakes("accepted", version).await;
        assert!(count.is_some_and(|count| count >= 2), "{count:?} {version}");
    }
}

#[tokio::test]
async fn a_body_whose_digest_does_not_match_breaks_in_every_protocol() {
    let blob = Blob::from(BigBlob::new("to be spoilt", 5_000_000));
    let site = Site::with(&blob, "").await;
    let flip = Fault::FlipBit(blob.size() - 1);
    site.registry.faults().add(On::path("/blobs/"), flip);
    for dialect in Dialect::ALL {
        let path = blob_path("team/app", blob.digest());
        let download = site.client(dialect).open(Method::GET, &path).await;
        let end = within("a spoilt body ends", download.drain()).await;
        assert!(matches!(end, End::Broken(_)), "{end:?} {dialect:?}");
    }
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_told_so_at_once() {
    let site = Site::with(&small(), "").await;
    for request in [
        "GET /v2/ HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\n",
    ] {
        let answer = raw::exchange(site.archway.address(), request.as_bytes()).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer:?}");
        assert!(answer.ends_with("use https instead"), "{answer:?}");
    }
    site.counts("plain_http").await;
    site.client(RECENT).pull("team/app", "v1").await;
}

#[tokio::test]
async fn what_is_no_handshake_ends_and_harms_nobody() {
    let site = Site::with(&small(), "").await;
    let hello_of_nothing = [0x16, 3, 1, 0, 4, 1, 0, 0, 0];
    let longer_than_any = [0x16, 3, 1, 0xff, 0xff, 1, 2, 3];
    for junk in [
        &hello_of_nothing[..],
        &longer_than_any[..],
        b"\r\n\r\n",
        &[0; 100],
    ] {
        raw::exchange(site.archway.address(), junk).await;
    }
    site.counts("failed").await;
    let level = eventually("it is in the log", async || {
        let mut events = site.archway.log().events().into_iter();
        let said = events.find(|event| event["message"] == "TLS handshake failed");
        said.map(|said| said["level"].clone())
    })
    .await;
    assert_eq!(level, "DEBUG");
    site.client(RECENT).pull("team/app", "v1").await;
}

#[tokio::test]
async fn a_health_check_that_only_connects_is_no_failed_handshake() {
    let site = Site::with(&small(), "").await;
    drop(
        TcpStream::connect(site.archway.address())
            .await
            .expect("it listens"),
    );
    site.counts("closed").await;
    assert_eq!(site.handshakes("failed", "none").await, Some(0));
}

#[tokio::test]
async fn a_handshake_has_the_time_that_headers_have() {
    let site = Site::with(&small(), "[server]\nheader_timeout = \"200ms\"").await;
    for start in [&[][..], &[0x16, 3, 1]] {
        let answer = raw::exchange(site.archway.address(), start).await;
        assert!(answer.is_empty(), "{answer:?}");
    }
    site.counts("timed_out").await;
}

#[tokio::test]
async fn a_client_that_asks_for_nothing_after_its_handshake_does_not_stay() {
    // Long enough for a handshake on a busy machine.
    let site = Site::with(&small(), "[server]\nheader_timeout = \"2s\"").await;
    for protocol in ["h2", "http/1.1"] {
        let mut silent = site
            .authority
            .connect(site.archway.address(), protocol)
            .await;
        let mut said = Vec::new();
        // Cut without a farewell, which is an error here.
        let _ = within("it is cut", silent.read_to_end(&mut said)).await;
        assert!(said.is_empty(), "{said:?} over {protocol}");
    }
    site.counts("timed_out").await;
}

#[tokio::test]
async fn a_handshake_that_hangs_does_not_hold_the_end_up() {
    let tables = "[server]\nheader_timeout = \"1h\"\nshutdown_grace = \"1h\"";
    let mut site = Site::with(&small(), tables).await;
    let _silent = TcpStream::connect(site.archway.address())
        .await
        .expect("it listens");
    site.client(RECENT).get("/v2/").await.expect(200);
    site.archway.terminate();
    assert_eq!(site.archway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn listeners_with_and_without_a_certificate_serve_side_by_side() {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let authority = Authority::new("authority.test");
    let mounted = Mounted::with(&authority.issue());
    let archway = Setup::in_front_of(&registry)
        .listener("127.0.0.1", &mounted.line())
        .listener("127.0.0.2", "")
        .start()
        .await;
    let pulled = Client::new(&archway.url_at("127.0.0.2"))
        .pull("team/app", "v1")
        .await;
    let client = Client::over_tls(&archway.https_url(), &authority, RECENT);
    assert_eq!(client.pull("team/app", "v1").await, pulled);
}
