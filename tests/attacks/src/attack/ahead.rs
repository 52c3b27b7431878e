//! Manifests asked for by a client that never asks for a layer: what is fetched ahead for it.

use std::sync::Arc;

use integration_tests::images::{self, Blob, noise};
use integration_tests::proxy::{Setup, UPSTREAM};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::eventually;

use crate::place::Place;
use crate::table::Row;

const REQUESTS: usize = 12;

const LAYER: usize = 8 << 20;

const BUDGET: u64 = 16 << 20;

pub(super) async fn run(place: Arc<Place>) -> Vec<Row> {
    let _quiet = place.quiet.lock().await;
    vec![asked(&place, false).await, asked(&place, true).await]
}

/// With a `known` repository a layer of another of its images has been pulled.
async fn asked(place: &Place, known: bool) -> Row {
    let registry = FakeRegistry::start().await;
    for at in 0..=REQUESTS {
        let layer = Blob::from(noise(&format!("layer {at}"), LAYER));
        registry.push("team/app", &format!("v{at}"), &images::of_blob(&layer));
    }
    let setup = Setup::in_front_of(&registry).prefetch(&format!(
        "mode = \"learned\"\nhourly_budget = \"{BUDGET}B\""
    ));
    let archway = place.start(setup).await;
    let client = archway.client();
    if known {
        client.pull("team/app", "v0").await;
    }
    let before = registry.log().bytes("/blobs/");
    for at in 1..=REQUESTS {
        client
            .manifest("team/app", &format!("v{at}"))
            .await
            .expect(200);
    }
    // A manifest takes its place among them before its answer goes out.
    eventually("all that is fetched ahead has come", async || {
        let waiting = archway.metric("archway_prefetch_waiting").await;
        (waiting == Some(0)).then_some(())
    })
    .await;
    let ahead = registry.log().bytes("/blobs/") - before;
    let left = format!("archway_prefetch_budget_left_bytes{{upstream=\"{UPSTREAM}\"}}");
    let left = archway.metric(&left).await;
    let refused = archway
        .metric("archway_prefetched_blobs_total{result=\"over_budget\"}")
        .await
        .unwrap_or(0);
    let (attack, bound) = if known {
        ("manifest requests where one layer was pulled", BUDGET)
    } else {
        ("manifest requests without layers", 1 << 20)
    };
    let metrics = left.map_or("no budget is touched".to_owned(), |left| {
        let left = left as f64 / 1e6;
        format!("{left:.1} MB of it left, {refused} blobs refused for it, as the metrics say")
    });
    let is_said = if known {
        // More was to come than the budget has.
        left.is_some() && refused > 0
    } else {
        // What comes is taken from it.
        left.is_some() || ahead == 0
    };
    Row::new(format!(
        "{REQUESTS} {attack}, {} MiB of layers each",
        LAYER >> 20
    ))
    .at_most(
        "fetched ahead",
        ahead as f64 / 1e6,
        bound as f64 / 1e6,
        "MB",
    )
    .saw(metrics, "said in metrics", is_said)
}
