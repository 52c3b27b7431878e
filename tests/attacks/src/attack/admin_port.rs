//! Who holds every connection of the admin port does not keep health from being told.

use std::sync::Arc;
use std::time::Duration;

use integration_tests::client::raw;
use integration_tests::proxy::Setup;
use integration_tests::registry::FakeRegistry;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::place::Place;
use crate::table::Row;

const CONNECTIONS: usize = 128;

pub(super) async fn run(place: Arc<Place>) -> Vec<Row> {
    let _quiet = place.quiet.lock().await;
    let registry = FakeRegistry::start().await;
    let archway = place.start(Setup::in_front_of(&registry)).await;
    let address = archway.admin_address();
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.push(TcpStream::connect(address).await.expect("it listens"));
    }
    let mut slowest = Duration::ZERO;
    let mut told = true;
    for _ in 0..20 {
        let begun = Instant::now();
        let ask = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let answer = raw::exchange(address, ask).await;
        slowest = slowest.max(begun.elapsed());
        told &= answer.starts_with(b"HTTP/1.1 200");
    }
    drop(held);
    let row = Row::new(format!(
        "{CONNECTIONS} connections on the admin port, of one address"
    ))
    .at_most(
        "`/livez` from that address takes",
        slowest.as_secs_f64() * 1e3,
        100.0,
        "ms",
    )
    .saw(
        if told { "always 200" } else { "not always 200" },
        "200",
        told,
    );
    vec![row]
}
