//! A listener's certificate: what cannot be served with is refused by its file's name, and a new
//! one is taken up without a restart and without a broken connection.

use std::path::Path;

use http::Method;
use integration_tests::client::{Client, Dialect, End, Http, Tls, blob_path};
use integration_tests::faults::On;
use integration_tests::images::{self, BigBlob, Blob};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::tls::{Authority, Issued, Mounted};
use integration_tests::wait::{eventually, within};

const SIZE: u64 = 4_000_000;
const ONE: Dialect = Dialect::new(Tls::V13, Http::One);
const TWO: Dialect = Dialect::new(Tls::V13, Http::Two);

/// Waits until a new connection is shown a certificate of this authority.
async fn shows(archway: &Archway, authority: &Authority) {
    let url = archway.https_url();
    eventually("the new certificate is shown", async || {
        let client = Client::over_tls(&url, authority, TWO);
        client.try_open(Method::GET, "/v2/").await.ok().map(drop)
    })
    .await;
}

/// Whether a new connection is shown a certificate of this authority.
async fn is_shown(archway: &Archway, authority: &Authority) -> bool {
    let client = Client::over_tls(&archway.https_url(), authority, TWO);
    client.try_open(Method::GET, "/v2/").await.is_ok()
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_cuts_no_open_one() {
    let blob = Blob::from(BigBlob::new("on its way", SIZE));
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blob(&blob)).await;
    let gate = registry.faults().hold_body(On::path("/blobs/"), SIZE / 2);
    let (old, new) = (Authority::new("old.test"), Authority::new("new.test"));
    let mounted = Mounted::with(&old.issue());
    let setup = Setup::in_front_of(&registry).listener("127.0.0.1", &mounted.line());
    let archway = setup.start().await;

    let url = archway.https_url();
    let idle = Client::over_tls(&url, &old, ONE);
    idle.get("/v2/").await.expect(200);
    let path = blob_path("team/app", blob.digest());
    let mut downloads = Vec::new();
    for dialect in [ONE, TWO] {
        let client = Client::over_tls(&url, &old, dialect);
        let mut download = client.open(Method::GET, &path).await;
        download.read_to(SIZE / 4, &blob, 0).await;
        downloads.push(download);
    }

    mounted.update(&new.issue());
    shows(&archway, &new).await;
    assert!(!is_shown(&archway, &old).await);
    gate.open();
    for download in downloads {
        let end = within("the download ends", download.finish(&blob)).await;
        assert_eq!(end, End::Complete(SIZE));
    }
    // On its old connection: on a new one it would not trust what it is shown.
    idle.get("/v2/").await.expect(200);
}

#[tokio::test]
async fn a_bad_pair_is_refused_by_its_files_name_and_the_old_one_stays() {
    let registry = FakeRegistry::start().await;
    let (old, new) = (Authority::new("old.test"), Authority::new("new.test"));
    let good = old.issue();
    let mounted = Mounted::with(&good);
    let setup = Setup::in_front_of(&registry).listener("127.0.0.1", &mounted.line());
    let archway = setup.start().await;
    let Issued { cert, key } = new.issue();

    let bad = |cert: &str, key: &str| {
        mounted.update(&Issued {
            cert: cert.to_owned(),
            key: key.to_owned(),
        });
    };
    bad(&cert, &good.key);
    refused(
        &archway,
        &mounted.key(),
        "does not belong to the first certificate",
    )
    .await;
    assert!(is_shown(&archway, &old).await);
    bad("no certificate here", &key);
    refused(&archway, &mounted.cert(), "there is no certificate in it").await;
    assert!(is_shown(&archway, &old).await);
    std::fs::remove_file(mounted.cert()).expect("it is there");
    refused(&archway, &mounted.cert(), "No such file").await;
    assert!(is_shown(&archway, &old).await);

    // Not all programs replace files at once: these are written one after the other.
    std::fs::write(mounted.key(), &key).expect("a writable file");
    std::fs::write(mounted.cert(), &cert).expect("a writable file");
    shows(&archway, &new).await;
    let metrics = archway.admin().get("/metrics").await.text();
    assert!(
        metrics.contains("archway_tls_reloads_total{result=\"loaded\"} 1\n"),
        "{metrics}"
    );
}

async fn refused(archway: &Archway, file: &Path, reason: &str) {
    let file = file.to_string_lossy();
    eventually(&format!("{file} is refused: {reason}"), async || {
        let mut events = archway.log().events().into_iter();
        events.find(|event| {
            let error = event["error"].as_str().unwrap_or_default();
            event["level"] == "WARN" && error.contains(&*file) && error.contains(reason)
        })
    })
    .await;
}

#[tokio::test]
async fn a_bad_pair_at_the_start_is_a_mistake_in_the_config_file() {
    let authority = Authority::new("authority.test");
    let (good, other) = (authority.issue(), authority.issue());
    for (cert, key, file, reason) in [
        (&*good.cert, &*other.key, "tls.key", "does not belong"),
        ("", &good.key, "tls.crt", "no certificate"),
        (&good.cert, "", "tls.key", "no private key"),
        (&good.cert[..100], &good.key, "tls.crt", "not PEM"),
    ] {
        let mounted = Mounted::with(&Issued {
            cert: cert.to_owned(),
            key: key.to_owned(),
        });
        for command in ["serve", "check"] {
            let setup = Setup::new().listener("127.0.0.1", &mounted.line());
            let output = match command {
                "serve" => setup.run(&["serve", "--config", "CONFIG"]).await,
                _ => setup.run(&["config", "check", "CONFIG"]).await,
            };
            assert_eq!(output.status.code(), Some(2), "{file}: {reason}");
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            for word in [file, reason, "archway.toml:3:"] {
                assert!(said.contains(word), "{word:?} in\n{said}");
            }
        }
    }
}
