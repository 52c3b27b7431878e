//! The places a running download may go on from.
//!
//! Clients of another upstream follow a download too, once their own upstream has said that it has
//! the blob. Each brings that upstream along: if the one that is asked stands still, theirs is asked
//! for the rest, so nobody waits for a stranger's upstream. The digest decides about the whole as
//! always. If it does not match, nobody can tell whose bytes were wrong, so that blob comes from one
//! upstream alone for a while.
//!
//! Places [nearby](crate::nearby) come before the upstream of the client that began it. One that
//! fails, refuses or hangs is asked no more for this download, and nothing it says is an answer.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::pending,
    sync::{Arc, Weak},
    time::Duration,
};

use manifest_model::Digest;
use parking_lot::Mutex;
use protocol::host::Host;
use slots::Claim;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use upstream::Deadline;

use super::place::Place;
use crate::{Repository, nearby::ByteSource};

/// How long a download stands still before it goes on elsewhere: its bytes are to come from there
/// within 2 s of a stall.
pub(crate) const PAUSE: Duration = Duration::from_millis(1500);

/// How long a blob whose bytes came from two upstreams, and were wrong, comes from one alone.
const ALONE: Duration = Duration::from_mins(10);

/// The places of all running downloads.
#[derive(Debug, Default)]
pub(crate) struct RunningSources(Arc<Mutex<Downloads>>);

#[derive(Debug, Default)]
struct Downloads {
    running: HashMap<Digest, Weak<Sources>>,
    alone_until: HashMap<Digest, Instant>,
}

impl RunningSources {
    /// A download begins for `first`, at the places nearby if there are any. It runs until the
    /// result is dropped, however it ends.
    pub(super) fn begin(
        &self,
        digest: Digest,
        first: &Repository,
        nearby: Vec<ByteSource>,
    ) -> RunningDownload {
        let deadline = first.upstream.deadline();
        let mut table = self.0.lock();
        let is_alone = table.is_alone(&digest);
        let nearby = nearby.into_iter().filter(|_| !is_alone);
        let nearby = nearby.map(|source| Place::at(first, source)).collect();
        let sources = Sources::new(nearby, Place::new(first, digest), deadline);
        let sources = Arc::new(sources);
        table.running.insert(digest, Arc::downgrade(&sources));
        drop(table);
        RunningDownload {
            table: Arc::clone(&self.0),
            digest,
            sources,
        }
    }

    /// The bytes of a download were not those of its digest.
    pub(super) fn were_wrong(&self, digest: &Digest, sources: &Sources) {
        if sources.has_moved() {
            let (mut table, now) = (self.0.lock(), Instant::now());
            table.alone_until.retain(|_, until| now < *until);
            table.alone_until.insert(*digest, now + ALONE);
        }
    }

    /// What is downloaded now.
    pub(crate) fn digests(&self) -> Vec<Digest> {
        self.0.lock().running.keys().copied().collect()
    }

    /// The places of the running download of a blob.
    pub(crate) fn of(&self, digest: &Digest) -> Option<Arc<Sources>> {
        self.0.lock().running.get(digest).and_then(Weak::upgrade)
    }

    /// The running download of the blob may go on at `repository`, whose upstream has said that it
    /// has it. `false` if it may not: there is none, or it is to come from one upstream alone.
    pub(crate) fn add(&self, digest: &Digest, repository: &Repository) -> bool {
        let sources = self.of(digest).filter(|_| !self.0.lock().is_alone(digest));
        sources
            .map(|sources| sources.add(Place::new(repository, *digest)))
            .is_some()
    }
}

impl Downloads {
    fn is_alone(&self, digest: &Digest) -> bool {
        let until = self.alone_until.get(digest);
        until.is_some_and(|until| Instant::now() < *until)
    }
}

/// A download among those that run.
#[derive(Debug)]
pub(super) struct RunningDownload {
    table: Arc<Mutex<Downloads>>,
    digest: Digest,
    sources: Arc<Sources>,
}

impl RunningDownload {
    /// Its places.
    pub(super) fn sources(&self) -> &Arc<Sources> {
        &self.sources
    }
}

impl Drop for RunningDownload {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        // The next download of the blob may have begun already.
        let this = Arc::as_ptr(&self.sources);
        let running = table.running.get(&self.digest);
        if running.is_some_and(|running| std::ptr::eq(running.as_ptr(), this)) {
            table.running.remove(&self.digest);
        }
    }
}

/// The places of one download, one for each upstream.
#[derive(Debug)]
pub(crate) struct Sources {
    places: Mutex<Places>,
    count: watch::Sender<usize>,
    /// What the download is counted for.
    claim: watch::Sender<Claim>,
    /// For the first answer, as its followers wait for it.
    deadline: Deadline,
}

#[derive(Debug)]
struct Places {
    /// Those nearby, the first one, and those of followers.
    all: Vec<Arc<Place>>,
    /// How many are nearby: the position of the first one.
    nearby: usize,
    current: usize,
    has_moved: bool,
    is_answered: bool,
}

impl Sources {
    fn new(nearby: Vec<Place>, first: Place, deadline: Deadline) -> Self {
        let claim = watch::Sender::new(first.repository().claim());
        let before = nearby.len();
        let all = nearby.into_iter().chain([first]);
        let all: Vec<_> = all.map(Arc::new).collect();
        Self {
            count: watch::Sender::new(all.len()),
            claim,
            places: Mutex::new(Places {
                all,
                nearby: before,
                current: 0,
                has_moved: before > 0,
                is_answered: false,
            }),
            deadline,
        }
    }

    /// When the wait for the first answer ends, its followers' too.
    pub(crate) fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    /// The one to ask now.
    pub(super) fn current(&self) -> Arc<Place> {
        let places = self.places.lock();
        Arc::clone(&places.all[places.current])
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// The one of the client that began it. In its name it fails, if it does.
    pub(super) fn first(&self) -> Arc<Place> {
        let places = self.places.lock();
        Arc::clone(&places.all[places.nearby])
    }

    /// Whether the download began at the upstream `host`.
    pub(crate) fn are_of(&self, host: &Host) -> bool {
        self.first().host() == host
    }

    /// Whether `place` is the [first](Self::first).
    pub(super) fn is_first(&self, place: &Arc<Place>) -> bool {
        let places = self.places.lock();
        Arc::ptr_eq(&places.all[places.nearby], place)
    }

    fn has_moved(&self) -> bool {
        self.places.lock().has_moved
    }

    fn add(&self, place: Place) {
        let mut places = self.places.lock();
        let mut upstreams = places.all[places.nearby..].iter();
        let known = upstreams.any(|known| known.host() == place.host());
        if !known {
            places.all.push(Arc::new(place));
            self.count.send_replace(places.all.len());
        }
    }

    /// Asks another one from now on, if there is one. Of several connections that leave the same
    /// place only the first moves on.
    pub(super) fn leave(&self, place: &Arc<Place>) {
        let mut places = self.places.lock();
        if Arc::ptr_eq(&places.all[places.current], place) && places.all.len() > 1 {
            places.current = (places.current + 1) % places.all.len();
            places.has_moved = true;
            self.count_for(&places);
        }
    }

    /// Drops a place that does not give the blob after all; the first one stays. After one nearby
    /// comes the next, else the first one.
    pub(super) fn remove(&self, place: &Arc<Place>) -> bool {
        let mut places = self.places.lock();
        let found = places
            .all
            .iter()
            .position(|known| Arc::ptr_eq(known, place));
        let Some(at) = found.filter(|at| *at != places.nearby) else {
            return false;
        };
        places.all.remove(at);
        if at < places.nearby {
            places.nearby -= 1;
            if places.current > at {
                places.current -= 1;
            }
        } else {
            places.current = places.nearby;
        }
        self.count.send_replace(places.all.len());
        self.count_for(&places);
        true
    }

    fn count_for(&self, places: &Places) {
        let claim = places.all[places.current].repository().claim();
        self.claim.send_replace(claim);
    }

    /// Whenever the download has moved, says what it is counted for from now on. Cancel safe.
    pub(super) async fn moves(&self, recount: impl Fn(Claim)) -> Infallible {
        let mut claim = self.claim.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        while claim.changed().await.is_ok() {
            recount(claim.borrow_and_update().clone());
        }
        pending().await
    }

    /// Returns once there are more places than those `tried`, and no byte has come from `place` for
    /// as long as it may be silent, since the last one. Cancel safe.
    pub(super) async fn better_elsewhere(&self, place: &Place, tried: usize, last_byte: Instant) {
        let Some(silence) = place.source.silence(PAUSE) else {
            return pending().await;
        };
        let mut count = self.count.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = count.wait_for(|count| *count > tried).await;
        sleep_until(last_byte + silence).await;
    }

    /// Returns once `place` is none of them any longer. Cancel safe.
    pub(super) async fn dropped(&self, place: &Arc<Place>) {
        let mut count = self.count.subscribe();
        while self.has(place) {
            // The sender lives as long as `self`, so waiting cannot fail.
            let _ = count.changed().await;
        }
    }

    fn has(&self, place: &Arc<Place>) -> bool {
        let places = self.places.lock();
        places.all.iter().any(|known| Arc::ptr_eq(known, place))
    }

    /// The first answer has come: what is asked from now on is for the rest.
    pub(super) fn answered(&self) {
        self.places.lock().is_answered = true;
    }

    /// Whether the blob is on its way: it has begun to arrive, or its upstream is asked. One that waits
    /// for another replica is not.
    pub(crate) fn is_coming(&self) -> bool {
        let places = self.places.lock();
        places.is_answered || !places.all[places.current].source.is_replica()
    }

    /// A replica waits for this download. If nothing has answered yet, it asks no other replica: that
    /// one might wait for this one.
    pub(crate) fn ask_no_replica(&self) {
        let mut places = self.places.lock();
        if places.is_answered {
            return;
        }
        let before = places.all.len();
        let Places { all, current, .. } = &mut *places;
        let asked = Arc::clone(&all[*current]);
        all.retain(|place| !place.source.is_replica());
        let dropped = before - all.len();
        places.nearby -= dropped;
        let still = places.all.iter().position(|at| Arc::ptr_eq(at, &asked));
        places.current = still.unwrap_or(0);
        self.count.send_replace(places.all.len());
    }
}
