//! Slots: how many downloads, bypasses and calls there are at once, and who has them.
//!
//! Owns the waiting for slots and giving them up: `shares` decides who is next, `lent` takes back what a
//! client does not use. Whoever gets no slot in time is told so: a client has another host to ask, and an
//! error that comes at once costs it less than a wait. Refuses to know what is done in a slot, which is
//! the caller's, `pull`.

mod lent;
mod shares;

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::{
    sync::{Notify, oneshot},
    time::{MissedTickBehavior, interval, timeout},
};

use self::shares::{Move, Shares, Ticket};
pub use self::{
    lent::LentSlot,
    shares::{Asker, Claim},
};

/// How often a holder looks whether it is still followed.
const LOOK: Duration = Duration::from_millis(100);

/// The slots of one kind of work. Cheap to clone; all clones are the same slots.
#[derive(Clone, Debug)]
pub struct Slots {
    table: Arc<Mutex<Table>>,
    counts: SlotCounts,
}

/// The slots of every kind of work.
#[derive(Clone, Debug)]
pub struct AllSlots {
    /// Downloads into the cache.
    pub fills: Slots,
    /// Downloads past it.
    pub bypasses: Slots,
    /// Calls for manifests, tags, lists and confirmations.
    pub calls: Slots,
}

/// The counters of one kind of work. Clones are handles to the same ones.
#[derive(Clone, Debug, Default)]
pub struct SlotCounts {
    /// Who got no slot in time.
    pub refused: Counter,
    /// Who was recalled, having no followers, for somebody who waited.
    pub recalled: Counter,
}

#[derive(Debug)]
struct Table {
    shares: Shares,
    waiting: HashMap<Ticket, oneshot::Sender<()>>,
    held: HashMap<Ticket, Arc<Notify>>,
}

impl Table {
    fn carry_out(&mut self, moves: Vec<Move>, counts: &SlotCounts) {
        for step in moves {
            match step {
                Move::Granted(ticket) => {
                    if let Some(sender) = self.waiting.remove(&ticket) {
                        let _ = sender.send(());
                    }
                }
                Move::Recalled(ticket) => {
                    counts.recalled.inc();
                    if let Some(recall) = self.held.get(&ticket) {
                        recall.notify_one();
                    }
                }
                // Its sender goes, which tells it.
                Move::Refused(ticket) => drop(self.waiting.remove(&ticket)),
            }
        }
    }
}

impl Slots {
    /// So many of them, counted in `counts`.
    pub fn new(capacity: usize, counts: SlotCounts) -> Self {
        Self {
            table: Arc::new(Mutex::new(Table {
                shares: Shares::new(capacity),
                waiting: HashMap::new(),
                held: HashMap::new(),
            })),
            counts,
        }
    }

    /// A slot, if one comes free for this claim within `wait`. Cancel safe.
    pub async fn take(&self, claim: Claim, wait: Duration) -> Option<Slot> {
        let (sender, granted) = oneshot::channel();
        let recall = Arc::new(Notify::new());
        let slot = {
            let mut table = self.table.lock();
            let (ticket, moves) = table.shares.ask(claim);
            table.waiting.insert(ticket, sender);
            table.held.insert(ticket, Arc::clone(&recall));
            table.carry_out(moves, &self.counts);
            Slot {
                ticket,
                recall,
                slots: self.clone(),
            }
        };
        if let Ok(Ok(())) = timeout(wait, granted).await {
            return Some(slot);
        }
        self.counts.refused.inc();
        None
    }

    /// The numbers of slots taken and of those who wait.
    pub fn usage(&self) -> (usize, usize) {
        let table = self.table.lock();
        (table.shares.held(), table.shares.waiting())
    }
}

/// A slot, given back on drop.
#[derive(Debug)]
pub struct Slot {
    ticket: Ticket,
    recall: Arc<Notify>,
    slots: Slots,
}

impl Slot {
    /// Counts it for `claim` from now on.
    pub fn recount(&self, claim: Claim) {
        let mut table = self.slots.table.lock();
        let moves = table.shares.recount(self.ticket, claim);
        table.carry_out(moves, &self.slots.counts);
    }

    /// Returns once the slot is to be given up: somebody waits, and nobody follows the holder.
    /// Cancel safe.
    pub async fn recalled_unless(&self, is_followed: impl Fn() -> bool) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut offered = None;
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = self.recall.notified() => {
                    if !is_followed() {
                        return;
                    }
                    offered = Some(true);
                }
            }
            let unfollowed = !is_followed();
            if offered != Some(unfollowed) {
                offered = Some(unfollowed);
                let mut table = self.slots.table.lock();
                let moves = table.shares.offer(self.ticket, unfollowed);
                table.carry_out(moves, &self.slots.counts);
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.slots.table.lock();
        table.waiting.remove(&self.ticket);
        table.held.remove(&self.ticket);
        let moves = table.shares.leave(self.ticket);
        table.carry_out(moves, &self.slots.counts);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{IpAddr, Ipv4Addr},
        sync::atomic::{AtomicBool, Ordering},
    };

    use futures_util::{StreamExt, stream::FuturesUnordered};

    use super::*;

    fn claim(client: u8) -> Claim {
        let address = IpAddr::from(Ipv4Addr::new(192, 0, 2, client));
        Claim {
            upstream: "registry.test".parse().unwrap(),
            asker: Asker::Client(address.into()),
        }
    }

    /// Of so few slots.
    const MAY_WAIT: usize = 256;

    const NOW: Duration = Duration::ZERO;
    const FAR: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn who_gets_no_slot_in_time_leaves_no_trace() {
        let slots = Slots::new(1, SlotCounts::default());
        let held = slots.take(claim(1), NOW).await.unwrap();
        assert!(slots.take(claim(2), NOW).await.is_none());
        assert_eq!(slots.usage(), (1, 0));
        assert_eq!(slots.counts.refused.get(), 1);
        drop(held);
        assert_eq!(slots.usage(), (0, 0));
    }

    #[tokio::test]
    async fn who_is_refused_is_told_at_once() {
        let slots = Slots::new(1, SlotCounts::default());
        let _held = slots.take(claim(1), NOW).await.unwrap();
        let waits = |_| slots.take(claim(1), FAR);
        let mut waiting: FuturesUnordered<_> = (0..300).map(waits).collect();
        // Those who are not refused wait for a minute.
        for _ in MAY_WAIT..300 {
            assert!(waiting.next().await.unwrap().is_none());
        }
        assert_eq!(slots.usage(), (1, MAY_WAIT));
    }

    #[tokio::test]
    async fn who_is_followed_keeps_its_slot_and_who_is_not_gives_way() {
        let slots = Slots::new(1, SlotCounts::default());
        let slot = slots.take(claim(1), NOW).await.unwrap();
        let is_followed = AtomicBool::new(true);
        let holder = async {
            slot.recalled_unless(|| is_followed.load(Ordering::Relaxed))
                .await;
            drop(slot);
        };
        let other = async {
            assert!(slots.take(claim(2), 3 * LOOK).await.is_none());
            is_followed.store(false, Ordering::Relaxed);
            slots.take(claim(2), FAR).await.unwrap()
        };
        let ((), _other) = tokio::join!(holder, other);
        assert_eq!(slots.usage(), (1, 0));
        assert_eq!(slots.counts.recalled.get(), 1);
    }
}
