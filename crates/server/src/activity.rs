//! What a connection is doing: how many requests are open, and whether it waits for its client.
//!
//! The service of each connection is wrapped in `watched`, which notes the beginning, each piece
//! and the end of an answer; on HTTP/1 it also notes when the client begins to ask, and `replay`
//! what it answers below. `sweep` judges all connections by these notes once a second: hyper has no
//! deadline for a client that takes nothing, nor for an HTTP/2 connection without a request, and
//! one for the time between two requests and that within a request's head.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

use crate::tls::Protocol;

/// How long ended and reset requests count.
const RESET_WINDOW: Duration = Duration::from_secs(30);

/// The requests that a connection may reset within [`RESET_WINDOW`], unless it lets more end.
const MAX_RESETS: u32 = 100;

/// Milliseconds of a clock that never goes back, as of its last tick: reading it costs next to
/// nothing, and no deadline here is shorter than its ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u64);

impl Tick {
    /// Before anything: the clock starts with the machine.
    const NEVER: Self = Self(0);

    pub(crate) fn now() -> Self {
        let time = clock_gettime(ClockId::MonotonicCoarse);
        let (seconds, nanos) = (time.tv_sec.cast_unsigned(), time.tv_nsec.cast_unsigned());
        Self(seconds * 1000 + nanos / 1_000_000)
    }

    /// The time from `earlier` until this; none if that is not earlier.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    #[cfg(test)]
    pub(crate) fn plus(self, time: Duration) -> Self {
        Self(self.0 + u64::try_from(time.as_millis()).unwrap())
    }
}

/// The notes of one connection. They change together: a look at them in the middle of a change
/// would see a client that waits since long ago, though it has just moved.
#[derive(Debug)]
pub(crate) struct Activity {
    /// What is spoken, once that is known.
    protocol: OnceLock<Protocol>,
    /// When the client began the head that it has not ended (HTTP/1). It and the next are set without
    /// the lock, and only while no request is open.
    heard_at: AtomicTick,
    /// When a request was answered below hyper for the last time.
    replayed_at: AtomicTick,
    notes: Mutex<Notes>,
}

#[derive(Debug)]
struct Notes {
    /// Whether there has been a request.
    served: bool,
    /// Requests that have not ended.
    open: u32,
    /// Those of them whose client has to take what was made before more is made.
    stalled: u32,
    /// When a request began or ended, or a piece was made, for the last time.
    moved_at: Tick,
    ends: Ends,
}

/// How the requests of the last [`RESET_WINDOW`] ended.
#[derive(Debug)]
struct Ends {
    since: Tick,
    whole: u32,
    reset: u32,
}

impl Ends {
    fn since(since: Tick) -> Self {
        Self {
            since,
            whole: 0,
            reset: 0,
        }
    }

    fn add(&mut self, end: End, now: Tick) {
        if now.since(self.since) > RESET_WINDOW {
            *self = Self::since(now);
        }
        match end {
            End::Whole => self.whole = self.whole.saturating_add(1),
            End::Reset => self.reset = self.reset.saturating_add(1),
        }
    }
}

/// A tick that is noted without a lock; first never.
#[derive(Debug, Default)]
struct AtomicTick(AtomicU64);

impl AtomicTick {
    fn load(&self) -> Tick {
        Tick(self.0.load(Ordering::Relaxed))
    }

    fn store(&self, tick: Tick) {
        self.0.store(tick.0, Ordering::Relaxed);
    }
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// For the client's first request.
    FirstRequest,
    /// For the client's next request.
    NextRequest,
    /// For the rest of that request's head (HTTP/1).
    Head,
    /// For the client to take an answer; others may wait for us besides.
    Client,
    /// For us.
    Us,
}

impl Activity {
    pub(crate) fn new() -> Self {
        let now = Tick::now();
        Self {
            protocol: OnceLock::new(),
            heard_at: AtomicTick::default(),
            replayed_at: AtomicTick::default(),
            notes: Mutex::new(Notes {
                served: false,
                open: 0,
                stalled: 0,
                moved_at: now,
                ends: Ends::since(now),
            }),
        }
    }

    /// Notes what the connection speaks from now on.
    pub(crate) fn speak(&self, protocol: Protocol) {
        // First the time: from here on it is judged by that.
        self.notes.lock().moved_at = Tick::now();
        // It is told once.
        let _ = self.protocol.set(protocol);
    }

    /// What it speaks; before the end of a handshake or a PROXY header nothing.
    pub(crate) fn protocol(&self) -> Option<Protocol> {
        self.protocol.get().copied()
    }

    /// Whether several requests may be open at once.
    pub(crate) fn is_multiplexed(&self) -> bool {
        self.protocol() == Some(Protocol::Http2)
    }

    /// Requests that have not ended.
    pub(crate) fn open(&self) -> u32 {
        self.notes.lock().open
    }

    /// What it waits for, and since when.
    pub(crate) fn waiting(&self) -> (Waiting, Tick) {
        let notes = self.notes.lock();
        let (heard_at, replayed_at) = (self.heard_at.load(), self.replayed_at.load());
        let is_served = notes.served || replayed_at != Tick::NEVER;
        let waiting = match (notes.open, notes.stalled) {
            (0, _) if !is_served => Waiting::FirstRequest,
            (0, _) if heard_at != Tick::NEVER => return (Waiting::Head, heard_at),
            (0, _) => Waiting::NextRequest,
            (_, 0) => Waiting::Us,
            (..) => Waiting::Client,
        };
        (waiting, notes.moved_at.max(replayed_at))
    }

    /// Notes that hyper reads something of the client's: the first of it begins a head.
    pub(crate) fn hear(&self) {
        self.hear_at(Tick::now);
    }

    fn hear_at(&self, now: impl FnOnce() -> Tick) {
        if self.heard_at.load() == Tick::NEVER {
            self.heard_at.store(now());
        }
    }

    /// Notes that a request is answered below hyper, which does not see it.
    pub(crate) fn replay(&self) {
        self.replayed_at.store(Tick::now());
    }

    /// Whether it resets requests without end and lets few of them end: each costs us an answer and
    /// the client a few bytes. Counts anew from then on.
    pub(crate) fn take_abuse(&self) -> bool {
        let ends = &mut self.notes.lock().ends;
        let is_abuse = ends.reset >= MAX_RESETS && ends.reset > ends.whole;
        if is_abuse {
            *ends = Ends::since(Tick::now());
        }
        is_abuse
    }

    pub(crate) fn begin(&self) {
        self.begin_at(Tick::now());
    }

    fn begin_at(&self, now: Tick) {
        let mut notes = self.notes.lock();
        self.heard_at.store(Tick::NEVER);
        notes.served = true;
        notes.open += 1;
        notes.moved_at = now;
    }

    pub(crate) fn end(&self, end: End) {
        self.end_at(end, Tick::now());
    }

    fn end_at(&self, end: End, now: Tick) {
        let mut notes = self.notes.lock();
        // What came meanwhile was a body that nobody reads, or the next request, which is at hand.
        self.heard_at.store(Tick::NEVER);
        notes.open -= 1;
        notes.moved_at = now;
        if self.is_multiplexed() {
            notes.ends.add(end, now);
        }
    }

    /// Notes that a request waits for its client.
    pub(crate) fn stall(&self) {
        self.stall_at(Tick::now());
    }

    fn stall_at(&self, now: Tick) {
        let mut notes = self.notes.lock();
        notes.stalled += 1;
        notes.moved_at = now;
    }

    /// Takes [`Self::stall`] back.
    pub(crate) fn unstall(&self) {
        self.notes.lock().stalled -= 1;
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its answer was made to the end.
    Whole,
    /// Before that.
    Reset,
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicBool, thread};

    use super::*;

    fn ended(ends: &[(End, u32)]) -> Activity {
        let activity = Activity::new();
        activity.speak(Protocol::Http2);
        for (end, times) in ends {
            for _ in 0..*times {
                activity.begin();
                activity.end(*end);
            }
        }
        activity
    }

    #[test]
    fn only_who_resets_much_and_more_than_it_lets_end_abuses() {
        for (ends, is_abuse) in [
            (&[(End::Reset, MAX_RESETS - 1)][..], false),
            (&[(End::Reset, MAX_RESETS)], true),
            (&[(End::Whole, MAX_RESETS), (End::Reset, MAX_RESETS)], false),
            (
                &[(End::Whole, MAX_RESETS), (End::Reset, MAX_RESETS + 1)],
                true,
            ),
        ] {
            assert_eq!(ended(ends).take_abuse(), is_abuse, "{ends:?}");
        }
    }

    /// Whoever judges looks at any moment: also at the one in which a client that was silent for
    /// long takes a piece, or an answer that was long in the making ends.
    #[test]
    fn a_look_never_sees_a_move_without_its_time() {
        const MOVES: u64 = 200_000;
        let (activity, moved, is_over) =
            (Activity::new(), AtomicU64::new(0), AtomicBool::new(false));
        activity.begin_at(Tick(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                for time in 1..=MOVES {
                    // From here on, all that is seen waiting has moved at this time or later.
                    if time % 2 == 0 {
                        activity.begin_at(Tick(time));
                        moved.store(time, Ordering::SeqCst);
                        activity.stall_at(Tick(time));
                        activity.unstall();
                    } else {
                        moved.store(time, Ordering::SeqCst);
                        activity.end_at(End::Whole, Tick(time));
                    }
                }
                is_over.store(true, Ordering::SeqCst);
            });
            while !is_over.load(Ordering::SeqCst) {
                let time = moved.load(Ordering::SeqCst);
                let (waiting, since) = activity.waiting();
                assert!(waiting == Waiting::Us || since >= Tick(time), "{waiting:?}");
            }
        });
    }

    #[test]
    fn a_head_is_waited_for_from_its_first_byte_to_its_request() {
        let activity = Activity::new();
        let waiting = || activity.waiting().0;
        activity.hear();
        assert_eq!(waiting(), Waiting::FirstRequest);
        activity.begin();
        assert_eq!(waiting(), Waiting::Us);
        activity.hear();
        activity.end(End::Whole);
        assert_eq!(waiting(), Waiting::NextRequest, "a body that nobody reads");
        activity.hear_at(|| Tick(7));
        activity.hear_at(|| Tick(9));
        assert_eq!(activity.waiting(), (Waiting::Head, Tick(7)));
        activity.begin();
        activity.end(End::Whole);
        assert_eq!(waiting(), Waiting::NextRequest);
    }

    #[test]
    fn what_is_answered_below_hyper_counts_as_a_request() {
        let activity = Activity::new();
        activity.replayed_at.store(Tick(u64::MAX));
        let later = (Waiting::NextRequest, Tick(u64::MAX));
        assert_eq!(activity.waiting(), later);
    }

    #[test]
    fn a_connection_waits_for_its_client_as_soon_as_one_answer_does() {
        let activity = Activity::new();
        assert_eq!(activity.waiting().0, Waiting::FirstRequest);
        activity.begin();
        activity.begin();
        assert_eq!(activity.waiting().0, Waiting::Us);
        activity.stall();
        assert_eq!(activity.waiting().0, Waiting::Client);
        activity.unstall();
        activity.end(End::Whole);
        activity.end(End::Whole);
        assert_eq!(activity.waiting().0, Waiting::NextRequest);
    }
}
