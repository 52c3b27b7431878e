//! The connections that may be open at once: who has them, and who goes when one more comes.
//!
//! Below the bound nothing is refused to anybody. At the bound a newcomer gets the seat of the
//! connection that has been idle for longest, first of all of clients with more than their share.
//! If nobody is idle it waits, and of those who wait, clients within their share are first. So the
//! share of an address binds only while others wait. Addresses are those behind the PROXY protocol;
//! a trusted proxy has no share, since it speaks for many.

mod rows;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use protocol::client_address::ClientAddress;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::AbortHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::rows::{Row, Rows, Waiter};
use crate::{
    activity::{Activity, Tick, Waiting},
    metrics::{CutLabels, ServerMetrics},
    sweep::{Rules, Verdict, judge},
};

/// The clients that may wait for a seat beside those in the kernel's queues.
pub(crate) const MAX_WAITING: usize = 64;

/// How long connections at the bound are left in peace before they make room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grace {
    /// For the first request, since a handshake has round trips, and for the rest of a head.
    silence: Duration,
    /// For the next request, which may be on the way.
    idle: Duration,
    /// For a client that takes nothing of its answer, and has more than its share.
    stall: Duration,
}

impl Grace {
    /// For clients of the registry.
    pub(crate) const CLIENTS: Self = Self {
        silence: Duration::from_secs(1),
        idle: Duration::from_millis(100),
        stall: Duration::from_secs(5),
    };

    /// For those who ask for health, whom nobody may keep waiting: their first request comes with the
    /// connection, and is answered before a hundred others have come.
    pub(crate) const HEALTH: Self = Self {
        silence: Duration::ZERO,
        idle: Duration::from_millis(10),
        stall: Duration::from_millis(100),
    };
}

/// The seats of one or several listeners. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Seats(Arc<Hall>);

#[derive(Debug)]
struct Hall {
    max: usize,
    max_per_address: usize,
    grace: Grace,
    metrics: ServerMetrics,
    stop: CancellationToken,
    rows: Mutex<Rows>,
    /// A place for each client that waits while others are accepted.
    places: Arc<Semaphore>,
}

/// A connection that makes room, as it was when it was looked at.
#[derive(Debug)]
struct Spared {
    number: u64,
    waiting: Waiting,
    since: Tick,
}

/// A seat; dropping it gives it to the next who waits.
#[derive(Debug)]
pub(crate) struct Seat {
    number: u64,
    hall: Arc<Hall>,
    activity: Arc<Activity>,
    end: CancellationToken,
}

/// How a newcomer comes to its seat.
pub(crate) enum Arriving {
    /// At once.
    Seated(Seat),
    /// It waits in a place; others may be accepted meanwhile.
    Waits(OwnedSemaphorePermit),
    /// It waits, and all behind it.
    Blocks,
    /// Too many wait, and its address has its share.
    Refused,
}

impl Seats {
    /// `max` seats, of which one address has no more than `max_per_address` while others wait.
    /// All connections end once `stop` is cancelled.
    pub(crate) fn new(
        max: usize,
        max_per_address: usize,
        grace: Grace,
        metrics: ServerMetrics,
        stop: CancellationToken,
    ) -> Self {
        Self(Arc::new(Hall {
            max,
            max_per_address,
            grace,
            metrics,
            stop,
            rows: Mutex::default(),
            places: Arc::new(Semaphore::new(MAX_WAITING)),
        }))
    }

    /// A seat for a client that was just accepted, or how it has to wait for one. `None` is a
    /// client whose address has no share, or is not known yet.
    pub(crate) fn arrive(&self, address: Option<ClientAddress>) -> Arriving {
        let mut rows = self.0.rows.lock();
        if rows.waiting.is_empty()
            && let Some(seat) = self.0.seat(&mut rows, address)
        {
            return Arriving::Seated(seat);
        }
        let has_share = rows.share(address) >= self.0.max_per_address;
        drop(rows);
        match Arc::clone(&self.0.places).try_acquire_owned() {
            Ok(place) => Arriving::Waits(place),
            Err(_) if has_share => {
                self.0.count("refused");
                Arriving::Refused
            }
            Err(_) => Arriving::Blocks,
        }
    }

    /// The seats that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.0.rows.lock().seats.len()
    }

    /// Waits for a seat. Cancel safe.
    pub(crate) async fn wait(&self, address: Option<ClientAddress>) -> Option<Seat> {
        let (call, called) = oneshot::channel();
        {
            let mut rows = self.0.rows.lock();
            if let Some(seat) = self.0.seat(&mut rows, address) {
                return Some(seat);
            }
            self.0.make_room(&mut rows, address, Tick::now());
            rows.waiting.push_back(Waiter { address, call });
        }
        called.await.ok()
    }

    /// Ends and cuts what `rules` do not allow, and makes room for those who wait.
    pub(crate) fn sweep(&self, rules: &Rules) {
        let now = Tick::now();
        let mut rows = self.0.rows.lock();
        for row in rows.seats.values_mut() {
            if let Some(verdict) = judge(&row.activity, row.leaving, now, rules) {
                self.0.execute(row, verdict, now);
            }
        }
        let waiting: Vec<_> = rows.waiting.iter().map(|waiter| waiter.address).collect();
        for address in waiting {
            // What cannot be spared for one within its share cannot be for anybody.
            if !self.0.make_room(&mut rows, address, now)
                && rows.share(address) < self.0.max_per_address
            {
                break;
            }
        }
    }
}

impl Hall {
    fn seat(self: &Arc<Self>, rows: &mut Rows, address: Option<ClientAddress>) -> Option<Seat> {
        if rows.seats.len() >= self.max {
            return None;
        }
        let number = rows.next;
        rows.next += 1;
        let (activity, end) = (Arc::new(Activity::new()), self.stop.child_token());
        let row = Row {
            address,
            activity: Arc::clone(&activity),
            end: end.clone(),
            task: None,
            leaving: None,
        };
        rows.seats.insert(number, row);
        rows.enter(address);
        self.metrics.connections.inc();
        Some(Seat {
            number,
            hall: Arc::clone(self),
            activity,
            end,
        })
    }

    /// Ends the connection that can best be spared for a client with this address. Tells whether
    /// there is one.
    fn make_room(&self, rows: &mut Rows, newcomer: Option<ClientAddress>, now: Tick) -> bool {
        // One that has moved is looked at anew, and is idle no more.
        while let Some(spared) = self.spared(rows, newcomer, now) {
            if self.spare(rows, &spared, now) {
                return true;
            }
        }
        false
    }

    /// The connection that can best be spared for a client with this address.
    fn spared(&self, rows: &Rows, newcomer: Option<ClientAddress>, now: Tick) -> Option<Spared> {
        let is_over = |address| rows.share(address) > self.max_per_address;
        let has_share = rows.share(newcomer) >= self.max_per_address;
        let all = rows
            .seats
            .iter()
            .filter(|(_, row)| row.leaving.is_none() && row.task.is_some())
            .filter_map(|(&number, row)| {
                let (waiting, since) = row.activity.waiting();
                let is_over = is_over(row.address);
                let own = row.address.is_some() && row.address == newcomer;
                let (grace, may_be_spared) = match waiting {
                    Waiting::FirstRequest | Waiting::Head => {
                        (self.grace.silence, is_over || own || !has_share)
                    }
                    Waiting::NextRequest => (self.grace.idle, is_over || own || !has_share),
                    Waiting::Client => (self.grace.stall, is_over && (own || !has_share)),
                    Waiting::Us => return None,
                };
                let is_spared = may_be_spared && now.since(since) >= grace;
                is_spared.then_some((
                    (!is_over, since, number),
                    Spared {
                        number,
                        waiting,
                        since,
                    },
                ))
            });
        let best = all.min_by_key(|(rank, _)| *rank);
        best.map(|(_, spared)| spared)
    }

    /// Ends a connection that was found to be spared, unless it has moved since it was looked at.
    fn spare(&self, rows: &mut Rows, spared: &Spared, now: Tick) -> bool {
        let row = rows.seats.get_mut(&spared.number);
        let as_found = (spared.waiting, spared.since);
        let Some(row) = row.filter(|row| row.activity.waiting() == as_found) else {
            return false;
        };
        // The end of its last answer may still be on the way to a client that has had one.
        let verdict = match spared.waiting {
            Waiting::NextRequest => Verdict::End("full"),
            _ => Verdict::Cut("full"),
        };
        self.execute(row, verdict, now);
        true
    }

    fn execute(&self, row: &mut Row, verdict: Verdict, now: Tick) {
        match verdict {
            Verdict::End(reason) => {
                debug!(reason, "ending a connection");
                row.end.cancel();
                self.count(reason);
            }
            Verdict::Cut(reason) => {
                let Some(task) = &row.task else { return };
                debug!(reason, "cutting a connection");
                task.abort();
                if row.leaving.is_none() {
                    self.count(reason);
                }
            }
        }
        row.leaving = Some(now);
    }

    fn count(&self, reason: &'static str) {
        let labels = CutLabels { reason };
        self.metrics.connections_cut.get_or_create(&labels).inc();
    }

    /// Takes a seat back. Returns it together with the client that it goes to.
    fn leave(self: &Arc<Self>, number: u64) -> Option<(oneshot::Sender<Seat>, Seat)> {
        let mut rows = self.rows.lock();
        let row = rows.seats.remove(&number)?;
        rows.leave(row.address);
        self.metrics.connections.dec();
        let next = rows.next_waiter(self.max_per_address)?;
        let seat = self.seat(&mut rows, next.address)?;
        Some((next.call, seat))
    }
}

impl Seat {
    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Cancelled when the connection should end in order.
    pub(crate) fn end(&self) -> CancellationToken {
        self.end.clone()
    }

    /// Counts the seat for the client that the connection turned out to have.
    pub(crate) fn rename(&self, address: Option<ClientAddress>) {
        let mut rows = self.hall.rows.lock();
        let Some(row) = rows.seats.get_mut(&self.number) else {
            return;
        };
        let before = std::mem::replace(&mut row.address, address);
        rows.leave(before);
        rows.enter(address);
    }

    /// What cuts the connection, to be given the task that serves it.
    pub(crate) fn cut(&self) -> Cut {
        Cut {
            number: self.number,
            hall: Arc::clone(&self.hall),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // If that client has left, its seat is dropped in turn, and goes to the next.
        if let Some((call, seat)) = self.hall.leave(self.number) {
            let _ = call.send(seat);
        }
    }
}

/// Cuts the connection of a seat.
pub(crate) struct Cut {
    number: u64,
    hall: Arc<Hall>,
}

impl Cut {
    /// Cuts by aborting `task`.
    pub(crate) fn aborts(self, task: AbortHandle) {
        if let Some(row) = self.hall.rows.lock().seats.get_mut(&self.number) {
            row.task = Some(task);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, net::IpAddr};

    use futures_util::FutureExt;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::activity::End;

    fn seats(max: usize, max_per_address: usize) -> Seats {
        let (metrics, stop) = (ServerMetrics::default(), CancellationToken::new());
        Seats::new(max, max_per_address, Grace::CLIENTS, metrics, stop)
    }

    fn address(last: u8) -> ClientAddress {
        IpAddr::from([192, 0, 2, last]).into()
    }

    fn seated(seats: &Seats, address: Option<ClientAddress>) -> Seat {
        match seats.arrive(address) {
            Arriving::Seated(seat) => seat,
            _ => panic!("there is a seat"),
        }
    }

    #[tokio::test]
    async fn below_the_bound_one_address_may_have_every_seat() {
        let seats = seats(5, 1);
        let taken: Vec<_> = (0..5).map(|_| seated(&seats, Some(address(1)))).collect();
        assert!(matches!(seats.arrive(Some(address(2))), Arriving::Waits(_)));
        drop(taken);
        assert!(matches!(
            seats.arrive(Some(address(2))),
            Arriving::Seated(_)
        ));
    }

    #[tokio::test]
    async fn a_free_seat_goes_to_who_has_less_than_its_share_and_then_to_who_came_first() {
        let seats = seats(2, 1);
        let (first, second) = (
            seated(&seats, Some(address(1))),
            seated(&seats, Some(address(1))),
        );
        let mut greedy = Box::pin(seats.wait(Some(address(1))));
        let mut modest = Box::pin(seats.wait(Some(address(2))));
        assert!((&mut greedy).now_or_never().is_none());
        assert!((&mut modest).now_or_never().is_none());
        drop(first);
        let _modest = (&mut modest).now_or_never().flatten().expect("its turn");
        assert!((&mut greedy).now_or_never().is_none());
        drop(second);
        assert!(greedy.now_or_never().flatten().is_some());
    }

    #[tokio::test]
    async fn a_seat_given_to_a_client_that_left_goes_to_the_next() {
        let seats = seats(1, 1);
        let first = seated(&seats, Some(address(1)));
        let mut left = Box::pin(seats.wait(Some(address(2))));
        let mut next = Box::pin(seats.wait(Some(address(3))));
        assert!((&mut left).now_or_never().is_none());
        assert!((&mut next).now_or_never().is_none());
        drop(left);
        drop(first);
        assert!(next.now_or_never().flatten().is_some());
    }

    #[tokio::test]
    async fn health_gets_the_seat_of_the_silent_and_of_those_who_read_nothing_of_its_own_address_too()
     {
        let silent: Begins = |_| {};
        let unread: Begins = |activity| {
            activity.begin();
            activity.stall();
        };
        for begins in [silent, unread] {
            let (metrics, stop) = (ServerMetrics::default(), CancellationToken::new());
            let (seats, tasks) = (
                Seats::new(2, 1, Grace::HEALTH, metrics, stop),
                TaskTracker::new(),
            );
            for _ in 0..2 {
                serve(&seats, 1, begins, &tasks);
            }
            let later = Tick::now().plus(Grace::HEALTH.stall);
            let mut rows = seats.0.rows.lock();
            assert!(seats.0.make_room(&mut rows, Some(address(1)), later));
            assert!(rows.seats[&0].leaving.is_some(), "the oldest goes");
            assert!(rows.seats[&1].leaving.is_none());
        }
    }

    /// How a connection begins.
    type Begins = fn(&Activity);

    /// Seats a connection that `begins`, and serves it until it is cut.
    fn serve(seats: &Seats, address: u8, begins: impl Fn(&Activity), tasks: &TaskTracker) {
        let seat = seated(seats, Some(self::address(address)));
        begins(seat.activity());
        let cut = seat.cut();
        let task = tasks.spawn(async move {
            let _seat = seat;
            pending::<()>().await;
        });
        cut.aborts(task.abort_handle());
    }

    /// The addresses that are left after one more client with `newcomer`, a minute later.
    async fn left_after(taken: &[(u8, Begins)], newcomer: u8) -> Vec<u8> {
        let (seats, tasks) = (seats(taken.len(), 1), TaskTracker::new());
        for (address, begins) in taken {
            serve(&seats, *address, begins, &tasks);
        }
        {
            let later = Tick::now().plus(Duration::from_mins(1));
            let mut rows = seats.0.rows.lock();
            seats.0.make_room(&mut rows, Some(address(newcomer)), later);
        }
        tokio::task::yield_now().await;
        let rows = seats.0.rows.lock();
        let mut left: Vec<_> = rows.seats.keys().copied().collect();
        left.sort_unstable();
        let place = |number: u64| usize::try_from(number).unwrap();
        left.iter().map(|number| taken[place(*number)].0).collect()
    }

    /// The request of a client may come while it is being decided who makes room.
    #[tokio::test]
    async fn a_connection_that_moves_after_the_look_at_it_stays() {
        let began: Begins = |_| {};
        let served: Begins = |activity| {
            activity.begin();
            activity.end(End::Whole);
        };
        for begins in [began, served] {
            let (seats, tasks) = (seats(1, 1), TaskTracker::new());
            serve(&seats, 1, begins, &tasks);
            let later = Tick::now().plus(Duration::from_mins(1));
            let mut rows = seats.0.rows.lock();
            let newcomer = Some(address(2));
            let spared = seats.0.spared(&rows, newcomer, later).expect("it is idle");
            rows.seats[&spared.number].activity.begin();
            assert!(!seats.0.spare(&mut rows, &spared, later));
            let row = &rows.seats[&spared.number];
            assert!(row.leaving.is_none() && !row.end.is_cancelled());
            drop(rows);
        }
    }

    #[tokio::test]
    async fn the_newcomer_gets_the_seat_of_who_can_best_be_spared() {
        let idle: Begins = |_| {};
        let busy: Begins = Activity::begin;
        let unread: Begins = |activity| {
            activity.begin();
            activity.stall();
        };
        for (taken, newcomer, left, why) in [
            (vec![(1, busy), (2, idle)], 3, vec![1], "an idle one goes"),
            (vec![(1, busy), (2, busy)], 3, vec![1, 2], "work goes on"),
            (
                vec![(1, idle), (2, idle), (2, busy)],
                3,
                vec![1, 2],
                "more than its share",
            ),
            (
                vec![(1, idle), (2, busy), (2, busy)],
                2,
                vec![1, 2, 2],
                "not for the greedy",
            ),
            (
                vec![(1, busy), (2, unread), (2, busy)],
                3,
                vec![1, 2],
                "what nobody reads",
            ),
            (
                vec![(1, unread), (2, busy)],
                3,
                vec![1, 2],
                "but within the share it stays",
            ),
        ] {
            assert_eq!(left_after(&taken, newcomer).await, left, "{why}");
        }
    }
}
