//! The connections that have a seat, the share of each address, and the clients that wait.
//!
//! Keeps count, and knows no bound but those it is asked with.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use protocol::client_address::ClientAddress;
use tokio::{sync::oneshot, task::AbortHandle};
use tokio_util::sync::CancellationToken;

use super::Seat;
use crate::activity::{Activity, Tick};

/// Who sits and who waits.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) seats: HashMap<u64, Row>,
    pub(super) next: u64,
    /// The seats of each address that has any.
    shares: HashMap<ClientAddress, usize>,
    pub(super) waiting: VecDeque<Waiter>,
}

/// A connection that has a seat.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) address: Option<ClientAddress>,
    pub(super) activity: Arc<Activity>,
    /// Ends it in order.
    pub(super) end: CancellationToken,
    /// Cuts it. `None` while it is being started.
    pub(super) task: Option<AbortHandle>,
    /// Since when it has been asked to end.
    pub(super) leaving: Option<Tick>,
}

/// A client that waits for a seat.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) address: Option<ClientAddress>,
    pub(super) call: oneshot::Sender<Seat>,
}

impl Rows {
    pub(super) fn share(&self, address: Option<ClientAddress>) -> usize {
        let share = address.and_then(|address| self.shares.get(&address));
        share.copied().unwrap_or(0)
    }

    pub(super) fn enter(&mut self, address: Option<ClientAddress>) {
        if let Some(address) = address {
            *self.shares.entry(address).or_default() += 1;
        }
    }

    pub(super) fn leave(&mut self, address: Option<ClientAddress>) {
        let Some(address) = address else { return };
        if let Some(share) = self.shares.get_mut(&address) {
            *share -= 1;
            if *share == 0 {
                self.shares.remove(&address);
            }
        }
    }

    /// The first who waits and has less than its share, else the first.
    pub(super) fn next_waiter(&mut self, max_per_address: usize) -> Option<Waiter> {
        let within = |waiter: &Waiter| self.share(waiter.address) < max_per_address;
        let place = self.waiting.iter().position(within).unwrap_or(0);
        self.waiting.remove(place)
    }
}
