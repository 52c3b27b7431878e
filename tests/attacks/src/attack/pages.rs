//! Web pages: one that has its name point at us, and one that lies in a registry as a manifest.

use std::net::SocketAddr;
use std::sync::Arc;

use integration_tests::client::raw;
use integration_tests::images::{self, Flavor};
use integration_tests::proxy::Setup;
use integration_tests::registry::FakeRegistry;

use crate::place::Place;
use crate::table::Row;

const TAG: &str = "/v2/team/app/manifests/v1";
const PAGE: &str = "/v2/team/page/manifests/v1";

pub(super) async fn run(place: Arc<Place>) -> Vec<Row> {
    let _quiet = place.quiet.lock().await;
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let page = "{\"schemaVersion\":2,\"mediaType\":\"text/html\",\"layers\":[],\"x\":\"<script>\"}";
    registry.push("team/page", "v1", &content.clone().under("text/html", page));
    let archway = place.start(Setup::in_front_of(&registry)).await;
    archway.client().pull("team/app", "v1").await;
    let admin = archway.admin_address();

    let mut row = Row::new("a page at `http://evil.example` that rebinds its name to loopback");
    for (what, address, path, headers, expected) in [
        (
            "by its name",
            archway.address(),
            TAG,
            "host: evil.example\r\n",
            "421",
        ),
        (
            "with `Sec-Fetch-Site`",
            archway.address(),
            TAG,
            "host: localhost\r\nsec-fetch-site: same-origin\r\n",
            "403",
        ),
        (
            "with `Origin`",
            archway.address(),
            TAG,
            "host: localhost\r\norigin: http://evil.example\r\n",
            "403",
        ),
        (
            "list of images",
            admin,
            "/_archway/v1/images",
            "host: evil.example\r\n",
            "421",
        ),
        (
            "metrics",
            admin,
            "/metrics",
            "host: evil.example\r\n",
            "421",
        ),
    ] {
        let answer = ask(address, path, headers).await;
        let status = answer.split(' ').nth(1).unwrap_or("none").to_owned();
        let holds = status == expected;
        row = row.saw(format!("{what}: {status}"), expected, holds);
    }
    vec![row, rendered(archway.address()).await]
}

async fn rendered(address: SocketAddr) -> Row {
    let accept = format!(
        "host: localhost\r\naccept: {}, */*\r\n",
        images::OCI_MANIFEST
    );
    let answer = ask(address, PAGE, &accept).await.to_lowercase();
    let kind = answer
        .lines()
        .find_map(|line| line.strip_prefix("content-type: "));
    let kind = kind.unwrap_or("none").to_owned();
    let is_page = kind.starts_with("text/");
    let refuses = answer.contains("x-content-type-options: nosniff")
        && answer.contains("content-security-policy: default-src 'none'; sandbox");
    Row::new("a manifest whose type is `text/html`")
        .saw(format!("served as `{kind}`"), "no page", !is_page)
        .saw(
            if refuses {
                "`nosniff`, nothing allowed"
            } else {
                "renderable"
            },
            "never rendered",
            refuses,
        )
}

async fn ask(address: SocketAddr, path: &str, headers: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
    let answer = raw::exchange(address, request.as_bytes()).await;
    String::from_utf8_lossy(&answer).into_owned()
}
