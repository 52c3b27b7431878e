//! Many clients at once, each with a thread and a connection of its own.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};

use super::pull::{self, Gulp, Pulled};
use crate::content::Object;
use crate::stats::percentile;

/// What the clients of a herd saw, counted from each one's own start.
pub(crate) struct Herd {
    /// The first byte, at the median client.
    pub(crate) first: Duration,
    /// The last byte of the last client.
    pub(crate) last: Duration,
}

/// Pulls `object` with this many clients that start together.
pub(crate) fn pull(
    address: SocketAddr,
    path: &str,
    object: &Object,
    clients: usize,
) -> anyhow::Result<Herd> {
    let ready = Barrier::new(clients);
    let client = || {
        let mut gulp = Gulp::new();
        ready.wait();
        pull::pull_into(&mut gulp, address, path, object)
    };
    let pulled = thread::scope(|scope| {
        let running: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        let ended = running.into_iter().map(|client| match client.join() {
            Ok(pulled) => pulled,
            Err(_) => Err(anyhow!("a client panicked")),
        });
        ended.collect::<anyhow::Result<Vec<Pulled>>>()
    })?;
    let mut first: Vec<_> = pulled.iter().map(|pulled| pulled.first).collect();
    let last = pulled.iter().map(|pulled| pulled.last).max();
    Ok(Herd {
        first: percentile(&mut first, 50).context("no client")?,
        last: last.context("no client")?,
    })
}
