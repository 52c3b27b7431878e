//! Blobs past the cache, asked for by clients that read nothing of them.

use std::sync::Arc;

use futures_util::future::join_all;
use http::Method;
use integration_tests::client::{Client, blob_path};
use integration_tests::images::{self, BigBlob, Blob, noise};
use integration_tests::proxy::Setup;
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::{eventually, within};
use tokio::time::Instant;

use crate::place::Place;
use crate::site::HONEST;
use crate::table::Row;

/// As many as may go past the cache at once.
const CLIENTS: usize = 64;

/// More than the kernel holds for a client that does not read.
const LARGE: u64 = 32 << 20;

pub(super) async fn run(place: Arc<Place>) -> Vec<Row> {
    let _quiet = place.quiet.lock().await;
    let large = Blob::from(BigBlob::new("unread", LARGE));
    let wanted = Blob::from(noise("wanted", 1 << 20));
    let content = images::of_blobs(&[large.clone(), wanted.clone()]);
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    // As on a full disk: nothing is stored.
    let setup = Setup::in_front_of(&registry).cache("min_free = \"99%\"");
    let archway = place.start(setup).await;
    let client = archway.client();
    let path = blob_path("team/app", large.digest());
    let asked = (0..CLIENTS).map(|_| client.open(Method::GET, &path));
    let unread = within("all are answered", join_all(asked)).await;
    eventually("all have a slot", async || {
        let taken = archway.metric("archway_slots_taken{of=\"bypass\"}").await?;
        (taken >= CLIENTS as u64).then_some(())
    })
    .await;

    let honest = Client::from_address(&archway.url(), HONEST);
    let begun = Instant::now();
    let path = blob_path("team/app", wanted.digest());
    let mut download = honest.open(Method::GET, &path).await;
    let status = download.status();
    if status == 200 {
        download.read_to(1, &wanted, 0).await;
    }
    let taken = begun.elapsed();
    drop(unread);
    let what = format!("{CLIENTS} clients that do not read blobs past the cache");
    let row = Row::new(what)
        .at_most(
            "an honest one's first byte after",
            taken.as_secs_f64(),
            2.0,
            "s",
        )
        .saw(status.as_str(), "200", status == 200);
    vec![row]
}
