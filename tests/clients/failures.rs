//! Failures as people meet them: what docker, podman and containerd say of each, and that its cause is
//! found by one command, which takes the name as the client printed it.
//!
//! The table is printed: `cargo test --workspace --test clients failures -- --nocapture`.

use std::fmt::Write as _;

use http::StatusCode;
use integration_tests::auth::Auth;
use integration_tests::faults::{Fault, On};
use integration_tests::images;
use integration_tests::proxy::{self, Archway};
use integration_tests::registry::FakeRegistry;
use integration_tests::tls_front::{Authority, Clients, TlsFront};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::CertificateDer;
use tokio::runtime::{self, Runtime};

use crate::cell::attempt;
use crate::containerd::{Node, Release};
use crate::dockerd::Daemon;
use crate::matrix::native;
use crate::podman;
use crate::setup::Setup;
use crate::tools;

/// The name that every client is asked for, behind Archway's address.
const IMAGE: &str = "reg.test/team/app:v1";

/// A failure: where the upstream is said to be, what it does, and what names the cause.
struct Row {
    name: &'static str,
    image: &'static str,
    lines: &'static str,
    at: Place,
    lay: fn(&Site),
    cause: &'static [&'static str],
}

/// The endpoint of the upstream.
#[derive(Clone, Copy)]
enum Place {
    Registry,
    Tls,
    PlainAsHttps,
    NoName,
    Nowhere,
    /// Its certificate is valid later.
    Tomorrow,
}

impl Row {
    fn new(name: &'static str, lay: fn(&Site), cause: &'static [&'static str]) -> Self {
        Self {
            name,
            image: IMAGE,
            lines: "",
            at: Place::Registry,
            lay,
            cause,
        }
    }

    fn at(name: &'static str, at: Place, cause: &'static [&'static str]) -> Self {
        Self {
            at,
            ..Self::new(name, |_| (), cause)
        }
    }
}

fn answers(registry: &FakeRegistry, status: u16) {
    let status = StatusCode::from_u16(status).expect("a status");
    registry.faults().add(On::all(), Fault::Status(status));
}

fn rows() -> Vec<Row> {
    let page = |site: &Site| {
        let page = Fault::Replace("text/html", "<html>log in</html>".into());
        site.registry.faults().add(On::path("/manifests/"), page);
    };
    let other = |site: &Site| {
        let other = images::single("other", "linux/amd64", images::Flavor::Oci);
        let body = Fault::Replace(images::OCI_MANIFEST, other.root().bytes.clone());
        let faults = site.registry.faults();
        faults.add(On::path("/manifests/sha256:"), body);
    };
    let mut rows = places();
    rows.extend(sites());
    rows.extend([
        Row {
            image: "reg.test/team/nope:v1",
            ..Row::new(
                "wrong repository",
                |_| (),
                &["reg.test has no repository team/nope"],
            )
        },
        Row {
            image: "reg.test/team/app:9.9",
            ..Row::new("wrong tag", |_| (), &["reg.test has no team/app:9.9"])
        },
        Row::new(
            "401",
            |site| site.registry.require(Auth::Nobody),
            &["its operator sets `auth`"],
        ),
        Row::new(
            "403",
            |site| answers(&site.registry, 403),
            &["refused us with 403"],
        ),
        Row {
            lines: "patience = \"0s\"",
            ..Row::new(
                "429",
                |site| answers(&site.registry, 429),
                &["is limiting our requests"],
            )
        },
        Row::new("500", |site| answers(&site.registry, 500), &["status 500"]),
        Row::new("a web page", page, &["the body is not a manifest"]),
        Row::new(
            "another manifest",
            other,
            &["asked for sha256:", "got sha256:"],
        ),
    ]);
    rows
}

/// Failures of the way to the registry.
fn places() -> Vec<Row> {
    vec![
        Row::at(
            "nothing listens",
            Place::Nowhere,
            &["the connection was refused"],
        ),
        Row::at(
            "no such name",
            Place::NoName,
            &["its name has no address here"],
        ),
        Row::at(
            "plain http",
            Place::PlainAsHttps,
            &["it speaks plain http", "set `endpoints"],
        ),
        Row::at(
            "unknown authority",
            Place::Tls,
            &["authority that is not known", "`ca_file`"],
        ),
    ]
}

/// Failures of the site that Archway runs at.
fn sites() -> Vec<Row> {
    let outage = |site: &Site| {
        site.runtime.block_on(async {
            let client = site.archway.client();
            let (name, tag) = ("reg.test/team/app", "v1");
            client.manifest(name, tag).await.expect(200);
            site.registry.close().await;
        });
    };
    vec![
        Row {
            lines: "tag_ttl = \"0s\"\nstale_if_error = \"0s\"",
            ..Row::new(
                "the bound of stale tags is passed",
                outage,
                &[
                    "is here (sha256:",
                    "`stale_if_error` allows no more than 0s",
                    "the connection was refused",
                ],
            )
        },
        Row {
            image: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:v1",
            lines: "auth = \"ecr\"",
            ..Row::new(
                "no credentials",
                |_| (),
                &["there are no AWS credentials here"],
            )
        },
        Row::at(
            "a clock that is wrong",
            Place::Tomorrow,
            &[
                "valid from 4000-01-01",
                "is the clock of this machine right?",
            ],
        ),
    ]
}

/// What lives as long as a row.
struct Site {
    archway: Archway,
    runtime: Runtime,
    registry: FakeRegistry,
}

fn site(row: &Row) -> Site {
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (archway, registry) = runtime.block_on(async {
        let content = images::single("app", "linux/amd64", images::Flavor::Oci);
        let content = match row.name {
            // A digest is asked for only behind an index.
            "another manifest" => images::multi_platform("app"),
            _ => content,
        };
        let registry = FakeRegistry::with("team/app", "v1", &content).await;
        let url = match row.at {
            Place::Registry => registry.url(),
            Place::PlainAsHttps => format!("https://{}", registry.host()),
            Place::NoName => "http://no-such-host.invalid:5000".to_owned(),
            Place::Nowhere => {
                let gone = FakeRegistry::start().await;
                gone.close().await;
                gone.url()
            }
            Place::Tomorrow => {
                let target = registry.address();
                let (certificate, key) = valid_later();
                TlsFront::showing(certificate, &key, target).await.url()
            }
            Place::Tls => {
                let target = registry.address();
                let authority = Authority::new();
                TlsFront::start(&authority, "127.0.0.1", Clients::Any, target)
                    .await
                    .url()
            }
        };
        let host = row.image.split('/').next().expect("a host");
        let nowhere = "/nowhere";
        let setup = proxy::Setup::new()
            .upstream_at(host, &[url], row.lines)
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
            .env("AWS_CONFIG_FILE", nowhere)
            .env("AWS_SHARED_CREDENTIALS_FILE", nowhere);
        (setup.start().await, registry)
    });
    let site = Site {
        archway,
        runtime,
        registry,
    };
    (row.lay)(&site);
    site
}

/// A certificate whose first day no clock has reached.
fn valid_later() -> (CertificateDer<'static>, KeyPair) {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    params.not_before = date_time_ymd(4000, 1, 1);
    params.not_after = date_time_ymd(4000, 2, 1);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate.der().clone(), key)
}

/// The last line of what a client says, without the place.
fn last_line(said: &str) -> String {
    let line = said.lines().rfind(|line| !line.trim().is_empty());
    line.unwrap_or_default().trim().replace('|', "\\|")
}

#[test]
fn the_cause_of_every_failure_is_found_by_one_command_from_the_name_that_the_client_printed() {
    let setup = Setup::new();
    let daemon = Daemon::start(&setup);
    let node = Node::start(&setup, Release::V2);
    let mut table =
        "| failure | docker | podman | ctr | explain |\n|---|---|---|---|---|\n".to_owned();
    let mut lacking = Vec::new();
    for row in rows() {
        let site = site(&row);
        let printed = format!("{}/{}", site.archway.address(), row.image);
        let mut docker = daemon.docker(&setup);
        docker.args(["pull", "--quiet", &printed]);
        let store = setup.folder();
        let mut with_podman = podman::on_store("podman", &setup, store.path());
        with_podman.args([
            "pull",
            "--quiet",
            "--tls-verify=false",
            "--retry=0",
            &printed,
        ]);
        if !podman_has_retry(&setup) {
            with_podman = podman::on_store("podman", &setup, store.path());
            with_podman.args(["pull", "--quiet", "--tls-verify=false", &printed]);
        }
        let mut ctr = node.ctr(&setup);
        ctr.args(["images", "pull", "--plain-http", &printed]);
        let said: Vec<_> = [docker, with_podman, ctr]
            .iter_mut()
            .map(|client| match attempt(client) {
                Ok(_) => panic!("{}: {client:?} pulled it", row.name),
                Err(failed) => last_line(&failed.0),
            })
            .collect();
        // Some causes are met only behind the index, on the way of this machine's platform.
        let platform = format!("Archway-Platform: {}", native());
        let server = site.archway.url();
        let words = ["explain", &printed, "--server", &server, "--as", &platform];
        let explained = site.runtime.block_on(site.archway.command(&words));
        let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
        for cause in row.cause {
            if !explained.contains(cause) {
                lacking.push(format!("{}: {cause} is not in\n{explained}", row.name));
            }
        }
        let first = explained.lines().next().unwrap_or_default();
        let _ = writeln!(table, "| {} | {} | {first} |", row.name, said.join(" | "));
    }
    println!("{table}");
    assert!(lacking.is_empty(), "{}", lacking.join("\n"));
}

/// podman 5 repeats a pull three times unless it is told not to.
fn podman_has_retry(setup: &Setup) -> bool {
    let help = attempt(
        setup
            .cell
            .command(tools::system("podman"))
            .args(["pull", "--help"]),
    );
    help.is_ok_and(|help| help.contains("--retry "))
}
