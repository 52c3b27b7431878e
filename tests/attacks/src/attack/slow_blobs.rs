//! Cold blobs of a slow upstream, asked for by clients that leave at once.

use std::sync::Arc;

use futures_util::future::join_all;
use http::Method;
use integration_tests::client::{Client, blob_path};
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, Blob, noise};
use integration_tests::proxy::Setup;
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::{eventually, within};
use tokio::time::Instant;

use crate::place::Place;
use crate::site::HONEST;
use crate::table::Row;

/// As many as downloads are allowed at once.
const BLOBS: usize = 64;

const SIZE: usize = 1 << 20;

/// Bytes a second: each of them would take a minute.
const RATE: u64 = 20_000;

pub(super) async fn run(place: Arc<Place>) -> Vec<Row> {
    let _quiet = place.quiet.lock().await;
    let (slow, held) = with_blobs("slow", BLOBS).await;
    slow.faults()
        .add(On::path("/blobs/"), Fault::Throttle(RATE));
    let (fast, wanted) = with_blobs("fast", 1).await;
    let setup = Setup::new()
        .upstream("slow.test", &slow)
        .upstream("fast.test", &fast);
    let archway = place.start(setup).await;
    let client = archway.client();
    let paths: Vec<_> = held.iter().map(|blob| path("slow.test", blob)).collect();
    let asked = paths.iter().map(|path| client.open(Method::GET, path));
    drop(within("all are answered", join_all(asked)).await);
    eventually("all are under way", async || {
        let taken = archway.metric("archway_slots_taken{of=\"fill\"}").await?;
        (taken >= BLOBS as u64).then_some(())
    })
    .await;

    let honest = Client::from_address(&archway.url(), HONEST);
    let begun = Instant::now();
    let mut download = honest
        .open(Method::GET, &path("fast.test", &wanted[0]))
        .await;
    let status = download.status();
    download.read_to(1, &wanted[0], 0).await;
    let taken = begun.elapsed();
    archway.stores(&wanted[0].digest()).await;
    let row = Row::new(format!("{BLOBS} slow cold blobs asked for, clients gone"))
        .at_most(
            "first byte of another upstream's cold blob after",
            taken.as_secs_f64(),
            1.0,
            "s",
        )
        .saw(status.as_str(), "200", status == 200);
    vec![row]
}

async fn with_blobs(name: &str, number: usize) -> (FakeRegistry, Vec<Blob>) {
    let blobs: Vec<Blob> = (0..number)
        .map(|at| Blob::from(noise(&format!("{name} {at}"), SIZE)))
        .collect();
    let registry = FakeRegistry::with("team/app", "v1", &images::of_blobs(&blobs)).await;
    (registry, blobs)
}

fn path(host: &str, blob: &Blob) -> String {
    let path = blob_path("team/app", blob.digest());
    path.replacen("/v2/", &format!("/v2/{host}/"), 1)
}
