//! HTTP/2 connections with as many requests as the server allows, of whose answers a byte is taken.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use http::Response;
use integration_tests::usage::Memory;
use integration_tests::wait::within;
use tokio::time::sleep;

use crate::place::Place;
use crate::site::{Site, http2, request};
use crate::table::{Row, grown_mb};

const CONNECTIONS: usize = 5;

/// How long the streams are left alone.
const HELD: Duration = Duration::from_secs(5);

/// After how long the memory has to be given back. The bound is one at that time: who waited until
/// enough is given back would measure another.
const AFTER: Duration = Duration::from_secs(30);

/// How often it is done: what is not given back must not add up either.
const ROUNDS: usize = 3;

pub(super) async fn run(place: Arc<Place>) -> Vec<Row> {
    let _quiet = place.quiet.lock().await;
    let site = Site::start(&place).await;
    let nginx_before = Memory::of(site.nginx.process());
    let nginx = flood(&site, site.nginx.tls, site.nginx.process()).await;
    let mut flooded = flood(&site, site.tls(), site.archway.pid()).await;
    for _ in 1..ROUNDS {
        let again = flood(&site, site.tls(), site.archway.pid()).await;
        flooded.held.anonymous = flooded.held.anonymous.max(again.held.anonymous);
        flooded.held.resident = flooded.held.resident.max(again.held.resident);
        flooded.after = again.after;
    }
    let grown = |now: Memory| grown_mb(site.fresh.anonymous, now.anonymous);
    let of_files = grown_mb(site.fresh.resident, flooded.held.resident) - grown(flooded.held);
    let nginx_grown = |now: Memory| grown_mb(nginx_before.anonymous, now.anonymous);
    let attack = format!(
        "{CONNECTIONS} TLS connections with {} HTTP/2 requests each, window 1 byte, nothing read, {ROUNDS} times",
        flooded.streams
    );
    let row = Row::new(attack)
        .at_most(
            "RSS without pages of files, against a fresh start, +",
            grown(flooded.held),
            60.0,
            "MB",
        )
        .at_most(
            &format!("{} s after they left +", AFTER.as_secs()),
            grown(flooded.after),
            20.0,
            "MB",
        )
        .saw(
            format!("{of_files:.0} MB of the stored blob mapped"),
            "page cache, which has no bound here",
            true,
        )
        .beside(format!(
            "{} requests each, once: +{:.1} MB, {} s after they left +{:.1} MB",
            nginx.streams,
            nginx_grown(nginx.held),
            AFTER.as_secs(),
            nginx_grown(nginx.after)
        ));
    vec![row]
}

/// What a server held while they were there, and afterwards.
struct Flood {
    streams: usize,
    held: Memory,
    after: Memory,
}

async fn flood(site: &Site, address: SocketAddr, process: u32) -> Flood {
    let mut streams = 0;
    let mut holding = Vec::new();
    for _ in 0..CONNECTIONS {
        let full = fill(site, address).await;
        streams = full.others.len() + 1;
        holding.push(full);
    }
    let held = Memory::peak(process, HELD).await;
    drop(holding);
    sleep(AFTER).await;
    Flood {
        streams,
        held,
        after: Memory::of(process),
    }
}

/// A connection whose requests are all open.
struct Full {
    _sender: SendRequest<Bytes>,
    _first: Response<RecvStream>,
    others: Vec<ResponseFuture>,
}

/// Opens as many requests on one connection as the server lets it.
async fn fill(site: &Site, address: SocketAddr) -> Full {
    let mut sender = http2(&site.authority, address, 1).await;
    let ask = |sender: &mut SendRequest<Bytes>| {
        let (answer, _) = sender
            .send_request(request(address, &site.path), true)
            .expect("it is sent");
        answer
    };
    let first = ask(&mut sender);
    // Behind a first head the server's settings are here.
    let first = within("the first head", first).await.expect("an answer");
    let mut others = Vec::new();
    while others.len() + 1 < sender.current_max_send_streams() {
        sender = within("room for a request", sender.ready())
            .await
            .expect("it is open");
        others.push(ask(&mut sender));
    }
    Full {
        _sender: sender,
        _first: first,
        others,
    }
}
