//! A slot that is a client's as long as it takes what comes.
//!
//! What the client takes nothing of for a while is given up, with its slot, once somebody waits for one.
//! Nobody asks for its bytes then, so a task of its own watches.

use std::{mem, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{task::JoinSet, time::Instant};

use crate::Slot;

/// How long a client may leave bytes untaken while others wait: less than those wait for a slot.
const STALL: Duration = Duration::from_secs(1);

/// A slot, and what its work reads from between two pieces for the client. Dropped, the slot is free a
/// moment later.
#[derive(Debug)]
pub struct LentSlot<S> {
    lent: Arc<Mutex<Lent<S>>>,
    /// The task that has the slot; it ends with this.
    _watch: JoinSet<()>,
}

#[derive(Debug)]
enum Lent<S> {
    /// The work reads for its client.
    InUse,
    /// Since then the client has taken nothing of what is read from this source.
    Left(Instant, Option<S>),
    /// Somebody else has the slot.
    Gone,
}

impl<S: Send + 'static> LentSlot<S> {
    /// The client has not asked for bytes yet. Runs in a runtime of tokio.
    pub fn new(slot: Slot) -> Self {
        let lent = Arc::new(Mutex::new(Lent::Left(Instant::now(), None)));
        let mut watch = JoinSet::new();
        watch.spawn(watch_over(slot, Arc::clone(&lent)));
        Self {
            lent,
            _watch: watch,
        }
    }

    /// The client asks for bytes: the source that was left, if there was one; `None` if the slot is gone,
    /// and the source with it.
    pub fn resume(&self) -> Option<Option<S>> {
        let mut lent = self.lent.lock();
        if matches!(*lent, Lent::Gone) {
            return None;
        }
        match mem::replace(&mut *lent, Lent::InUse) {
            Lent::Left(_, source) => Some(source),
            Lent::InUse | Lent::Gone => Some(None),
        }
    }

    /// The client has bytes to take; more come from `source`.
    pub fn leave(&self, source: Option<S>) {
        *self.lent.lock() = Lent::Left(Instant::now(), source);
    }
}

impl<S> Lent<S> {
    fn is_stalled(&self) -> bool {
        matches!(self, Self::Left(since, _) if since.elapsed() >= STALL)
    }
}

async fn watch_over<S>(slot: Slot, lent: Arc<Mutex<Lent<S>>>) {
    loop {
        slot.recalled_unless(|| !lent.lock().is_stalled()).await;
        let mut state = lent.lock();
        // It may have gone on just now: then the recall is answered by the next look.
        if state.is_stalled() {
            let given_up = mem::replace(&mut *state, Lent::Gone);
            drop(state);
            // Before the slot: its connection to the upstream is what the slot stands for.
            drop(given_up);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use tokio::time::sleep;

    use super::*;
    use crate::{Asker, Claim, SlotCounts, Slots};

    /// As a request does that nobody is ready to answer.
    const WAIT: Duration = Duration::from_millis(1500);

    fn claim(client: u8) -> Claim {
        let address = IpAddr::from(Ipv4Addr::new(192, 0, 2, client));
        Claim {
            upstream: "registry.test".parse().unwrap(),
            asker: Asker::Client(address.into()),
        }
    }

    async fn lent_to_one(slots: &Slots) -> LentSlot<Arc<()>> {
        let slot = slots.take(claim(1), Duration::ZERO).await;
        LentSlot::new(slot.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_keeps_its_slot_until_somebody_waits() {
        let slots = Slots::new(1, SlotCounts::default());
        let (lent, source) = (lent_to_one(&slots).await, Arc::new(()));
        assert_eq!(lent.resume(), Some(None));
        lent.leave(Some(Arc::clone(&source)));
        sleep(60 * STALL).await;
        assert_eq!((slots.usage(), Arc::strong_count(&source)), ((1, 0), 2));
        let other = slots.take(claim(2), WAIT).await;
        assert!(other.is_some());
        assert_eq!(Arc::strong_count(&source), 1, "it is read no more");
        assert_eq!(lent.resume(), None);
        drop(lent);
        assert_eq!(slots.usage(), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_as_long_as_one_may_gets_the_slot_of_a_client_that_has_just_stopped() {
        let slots = Slots::new(1, SlotCounts::default());
        let lent = lent_to_one(&slots).await;
        // It has not asked for a byte, as on a connection of HTTP/2 whose window is closed.
        assert!(slots.take(claim(2), WAIT).await.is_some());
        assert_eq!(lent.resume(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_its_bytes_keeps_slot_and_source() {
        let slots = Slots::new(1, SlotCounts::default());
        let lent = lent_to_one(&slots).await;
        assert_eq!(lent.resume(), Some(None));
        let source = Arc::new(());
        let reads = async {
            for _ in 0..10 {
                lent.leave(Some(Arc::clone(&source)));
                sleep(STALL / 2).await;
                assert_eq!(lent.resume(), Some(Some(Arc::clone(&source))));
            }
            // The upstream is slow: that is not the client's fault.
            sleep(10 * STALL).await;
            assert_eq!(lent.resume(), Some(None));
        };
        let others = async {
            loop {
                assert!(slots.take(claim(2), WAIT).await.is_none());
            }
        };
        tokio::select! {
            () = reads => {}
            () = others => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_is_free_once_its_client_is_gone() {
        let slots = Slots::new(1, SlotCounts::default());
        drop(lent_to_one(&slots).await);
        assert!(slots.take(claim(2), WAIT).await.is_some());
    }
}
