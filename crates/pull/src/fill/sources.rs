//! The places a running download may go on from.
//!
//! Clients of another upstream follow a download too, once their own upstream has said that it has
//! the blob. Each brings that upstream along: if the one that is asked stands still, theirs is asked
//! for the rest, so nobody waits for a stranger's upstream. The digest decides about the whole as
//! always. If it does not match, nobody can tell whose bytes were wrong, so that blob comes from one
//! upstream alone for a while.

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
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use upstream::{BlobSource, Deadline, Upstream};

use crate::{Repository, slots::Claim};

/// How long a download stands still before it goes on elsewhere: its bytes are to come from there
/// within 2 s of a stall.
pub(crate) const PAUSE: Duration = Duration::from_millis(1500);

/// How long a blob whose bytes came from two upstreams, and were wrong, comes from one alone.
const ALONE: Duration = Duration::from_mins(10);

/// A place that a download may come from: a repository, and the blob there.
#[derive(Debug)]
pub(super) struct Place {
    repository: Repository,
    pub(super) source: BlobSource,
}

impl Place {
    fn new(repository: &Repository, digest: Digest) -> Self {
        Self {
            repository: repository.anew(),
            source: repository.source(digest),
        }
    }

    pub(super) fn repository(&self) -> &Repository {
        &self.repository
    }

    pub(super) fn upstream(&self) -> &Upstream {
        &self.repository.upstream
    }

    /// How many connections one blob may have there.
    pub(super) fn max_connections(&self) -> usize {
        self.upstream().config().parallel
    }

    fn host(&self) -> &Host {
        self.source.host()
    }
}

/// The places of all running downloads.
#[derive(Debug, Default)]
pub(crate) struct RunningSources(Arc<Mutex<Downloads>>);

#[derive(Debug, Default)]
struct Downloads {
    running: HashMap<Digest, Weak<Sources>>,
    alone_until: HashMap<Digest, Instant>,
}

impl RunningSources {
    /// A download begins at `first`. It runs until the result is dropped, however it ends.
    pub(super) fn begin(&self, digest: Digest, first: &Repository) -> RunningDownload {
        let deadline = first.upstream.deadline();
        let sources = Arc::new(Sources::new(Place::new(first, digest), deadline));
        let running = Arc::downgrade(&sources);
        self.0.lock().running.insert(digest, running);
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

    /// Whether the running download of the blob began at another upstream than `host`.
    pub(crate) fn is_elsewhere(&self, digest: &Digest, host: &Host) -> bool {
        let sources = self.of(digest);
        sources.is_some_and(|sources| sources.first().host() != host)
    }

    /// How long the followers of the running download may have to wait for its first answer.
    pub(crate) fn deadline(&self, digest: &Digest) -> Option<Deadline> {
        self.of(digest).map(|sources| sources.deadline.clone())
    }

    fn of(&self, digest: &Digest) -> Option<Arc<Sources>> {
        self.0.lock().running.get(digest).and_then(Weak::upgrade)
    }

    /// The running download of the blob may go on at `repository`, whose upstream has said that it
    /// has it. `false` if it may not: there is none, or it is to come from one upstream alone.
    pub(crate) fn add(&self, digest: &Digest, repository: &Repository) -> bool {
        let table = self.0.lock();
        let is_alone = table.alone_until.get(digest);
        if is_alone.is_some_and(|until| Instant::now() < *until) {
            return false;
        }
        let sources = table.running.get(digest).and_then(Weak::upgrade);
        sources
            .map(|sources| sources.add(Place::new(repository, *digest)))
            .is_some()
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
pub(super) struct Sources {
    places: Mutex<Places>,
    count: watch::Sender<usize>,
    /// What the download is counted for.
    claim: watch::Sender<Claim>,
    /// For the first answer, as its followers wait for it.
    deadline: Deadline,
}

#[derive(Debug)]
struct Places {
    all: Vec<Arc<Place>>,
    current: usize,
    has_moved: bool,
}

impl Sources {
    fn new(first: Place, deadline: Deadline) -> Self {
        Self {
            count: watch::Sender::new(1),
            claim: watch::Sender::new(first.repository.claim()),
            places: Mutex::new(Places {
                all: vec![Arc::new(first)],
                current: 0,
                has_moved: false,
            }),
            deadline,
        }
    }

    /// When the wait for the first answer ends.
    pub(super) fn deadline(&self) -> &Deadline {
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
        Arc::clone(&self.places.lock().all[0])
    }

    /// Whether `place` is the [first](Self::first).
    pub(super) fn is_first(&self, place: &Arc<Place>) -> bool {
        Arc::ptr_eq(&self.places.lock().all[0], place)
    }

    fn has_moved(&self) -> bool {
        self.places.lock().has_moved
    }

    fn add(&self, place: Place) {
        let mut places = self.places.lock();
        let known = places.all.iter().any(|known| known.host() == place.host());
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

    /// Drops a place that does not give the blob after all; the first one stays.
    pub(super) fn remove(&self, place: &Arc<Place>) -> bool {
        let mut places = self.places.lock();
        let found = places
            .all
            .iter()
            .position(|known| Arc::ptr_eq(known, place));
        let Some(at) = found.filter(|at| *at > 0) else {
            return false;
        };
        places.all.remove(at);
        places.current = 0;
        self.count.send_replace(places.all.len());
        self.count_for(&places);
        true
    }

    fn count_for(&self, places: &Places) {
        let claim = places.all[places.current].repository.claim();
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

    /// Returns once there are more places than those `tried`, and no byte has come for [`PAUSE`]
    /// since the last one. Cancel safe.
    pub(super) async fn better_elsewhere(&self, tried: usize, last_byte: Instant) {
        let mut count = self.count.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = count.wait_for(|count| *count > tried).await;
        sleep_until(last_byte + PAUSE).await;
    }
}
