//! What puts blobs out of the cache that are used again and again.

use std::sync::Arc;

use http::Method;
use integration_tests::client::{End, blob_path};
use integration_tests::faults::{Cut, Fault, On};
use integration_tests::images::{self, BigBlob, Blob, Content, OCI_INDEX};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::within;
use serde_json::json;

use crate::place::Place;
use crate::table::Row;

const MIB: u64 = 1 << 20;

/// The cache's size, of which the hot set is three eighths.
const CACHE: u64 = 64 * MIB;
const HOT: usize = 24;

/// The part of the hot set that has to be there afterwards.
const HITS: f64 = 95.0;

#[derive(Clone, Copy)]
enum Attack {
    Scan,
    LargeBlob,
    FalseLength,
    EndlessBody,
    Manifests,
}

pub(super) async fn run(place: Arc<Place>) -> Vec<Row> {
    let _quiet = place.quiet.lock().await;
    let mut rows = Vec::new();
    for attack in [
        Attack::Scan,
        Attack::LargeBlob,
        Attack::FalseLength,
        Attack::EndlessBody,
        Attack::Manifests,
    ] {
        rows.push(site(&place, attack).await);
    }
    rows
}

async fn site(place: &Place, attack: Attack) -> Row {
    let hot = blobs("hot", HOT, MIB);
    let registry = FakeRegistry::with("team/hot", "v1", &images::of_blobs(&hot)).await;
    let setup = Setup::in_front_of(&registry).cache("max_size = \"64MiB\"");
    let archway = place.start(setup).await;
    for _ in 0..3 {
        read_all(&archway, "team/hot", &hot).await;
        for blob in &hot {
            archway.stores(&blob.digest()).await;
        }
    }
    attack.carry_out(&registry, &archway).await;
    let asked = registry.log().gets("/team/hot/blobs/");
    read_all(&archway, "team/hot", &hot).await;
    let missed = registry.log().gets("/team/hot/blobs/") - asked;
    let hits = 100.0 * (1.0 - missed as f64 / HOT as f64);
    Row::new(attack.name()).saw(
        format!("{hits:.0} % of the hot set are hits"),
        format!("≥ {HITS} %"),
        hits >= HITS,
    )
}

impl Attack {
    fn name(self) -> &'static str {
        match self {
            Self::Scan => "one scan of cold blobs of twice the cache",
            Self::LargeBlob => "one pull of a blob of 60 MiB",
            Self::FalseLength => "a blob of 60 MiB whose body breaks after 1 kB",
            Self::EndlessBody => "a wrong body without a length, of more than twice the cache",
            Self::Manifests => "16 manifests of 4 MiB",
        }
    }

    async fn carry_out(self, registry: &FakeRegistry, archway: &Archway) {
        let on = || On::path("/team/cold/blobs/");
        match self {
            Self::Scan => {
                let number = usize::try_from(2 * CACHE / MIB).expect("a small number");
                let cold = blobs("cold", number, MIB);
                registry.push("team/cold", "v1", &images::of_blobs(&cold));
                read_all(archway, "team/cold", &cold).await;
            }
            Self::LargeBlob => {
                let cold = blobs("large", 1, 60 * MIB);
                registry.push("team/cold", "v1", &images::of_blobs(&cold));
                read_all(archway, "team/cold", &cold).await;
            }
            Self::FalseLength => {
                let cold = blobs("false", 1, 60 * MIB);
                registry.push("team/cold", "v1", &images::of_blobs(&cold));
                // Each time: what is asked for from there on comes from the start, too.
                registry.faults().add(on(), Fault::IgnoreRange);
                registry.faults().add(on(), Fault::Cut(1000, Cut::Fin));
                read(archway, "team/cold", &cold[0]).await;
            }
            Self::EndlessBody => {
                let cold = blobs("endless", 1, MIB);
                registry.push("team/cold", "v1", &images::of_blobs(&cold));
                registry.faults().add(on(), Fault::NoLength);
                registry.faults().add(on(), Fault::Extend(2 * CACHE));
                read(archway, "team/cold", &cold[0]).await;
            }
            Self::Manifests => {
                for at in 0..16 {
                    let tag = format!("v{at}");
                    registry.push("team/cold", &tag, &large_index(at));
                    let answer = archway.client().manifest("team/cold", &tag).await;
                    answer.expect(200);
                }
            }
        }
        registry.faults().clear();
    }
}

fn blobs(name: &str, number: usize, size: u64) -> Vec<Blob> {
    (0..number)
        .map(|at| Blob::from(BigBlob::new(&format!("{name} {at}"), size)))
        .collect()
}

/// An index of nearly the largest size that is taken.
fn large_index(number: usize) -> Content {
    let padding = "x".repeat(4 * 1024 * 1024 - 1000);
    let index = json!({
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [],
        "annotations": { "number": number.to_string(), "padding": padding },
    });
    Content::default().under(OCI_INDEX, index.to_string())
}

async fn read_all(archway: &Archway, repository: &str, blobs: &[Blob]) {
    for blob in blobs {
        let end = read(archway, repository, blob).await;
        assert_eq!(end, End::Complete(blob.size()));
    }
}

/// Reads to the end, however it comes.
async fn read(archway: &Archway, repository: &str, blob: &Blob) -> End {
    let path = blob_path(repository, blob.digest());
    let download = archway.client().open(Method::GET, &path).await;
    within("the body ends", download.drain()).await
}
