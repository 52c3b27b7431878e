//! What is told of downloads: those that run, and the last that ended.
//!
//! Owns the tale alone: `pull` writes it where a download takes a step, `window` reads it. No request
//! that finds its blob stored comes by here.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use cache::{Arrived, Audience, Fill};
use manifest_model::{Digest, RepoName};
use parking_lot::Mutex;
use protocol::host::Host;
use tokio::time::Instant;

/// Ended downloads that are remembered.
const MAX_ENDED: usize = 100;

/// The time over which a rate is measured, at least.
const SAMPLE: Duration = Duration::from_millis(500);

/// A download, as it is told.
#[derive(Clone, Debug)]
pub struct FillView {
    /// The blob.
    pub digest: Digest,
    /// The upstream that it was begun at.
    pub upstream: Host,
    /// The repository there.
    pub repository: RepoName,
    /// Whether it was begun ahead of clients.
    pub is_ahead: bool,
    /// When it began.
    pub started: SystemTime,
    /// How long it has run, or ran.
    pub age: Duration,
    /// Bytes of the whole, once they are known.
    pub size: Option<u64>,
    /// Bytes that are there.
    pub written: u64,
    /// Bytes of those that an earlier download had left.
    pub resumed: u64,
    /// Bytes a second, lately.
    pub rate: u64,
    /// For how long no byte has come.
    pub still_for: Duration,
    /// Connections.
    pub connections: usize,
    /// Its readers.
    pub followers: usize,
    /// How far it is.
    pub stage: FillStage,
}

/// The steps of a download, each of which may take long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillStage {
    /// Its slot is not free yet.
    Slot,
    /// Nobody has answered yet.
    Answer,
    /// Room is made for it.
    Room,
    /// Bytes come.
    Bytes,
    /// All bytes are there, and are checked and stored.
    Storing,
}

/// A download that ended.
#[derive(Clone, Debug)]
pub struct EndedView {
    /// The download, as it was at its end.
    pub last: FillView,
    /// How it ended.
    pub outcome: FillOutcome,
    /// Why, if it was not stored.
    pub cause: Option<String>,
}

/// How a download ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillOutcome {
    /// The blob is stored.
    Stored,
    /// Nobody gave the blob, or not to its end.
    Failed,
    /// No slot came free in time.
    NoSlot,
    /// It gave its slot up while nobody followed it.
    GaveWay,
    /// Its clients have a download of their own past the cache.
    SentPast,
    /// The disk did not take it.
    Unstored,
    /// Its bytes were not those of its digest.
    Wrong,
    /// A shutdown cut it.
    Cut,
}

/// What a download is begun for.
#[derive(Clone, Debug)]
pub struct BegunFor {
    /// The upstream.
    pub upstream: Host,
    /// The repository there.
    pub repository: RepoName,
    /// Whether nobody waits for it yet.
    pub is_ahead: bool,
}

/// All downloads. Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Rows>>);

#[derive(Debug, Default)]
struct Rows {
    running: BTreeMap<u64, Arc<Told>>,
    ended: VecDeque<EndedView>,
    begun: u64,
}

impl Ledger {
    /// A download begins. It runs until the answer is dropped.
    pub fn begin(&self, begun: BegunFor, fill: &Fill) -> LedgerEntry {
        let told = Arc::new(Told::new(begun, fill));
        let mut rows = self.0.lock();
        rows.begun += 1;
        let number = rows.begun;
        rows.running.insert(number, Arc::clone(&told));
        LedgerEntry {
            ledger: self.clone(),
            number,
            told,
        }
    }

    /// Those that run, the oldest first, and the last that ended, the latest first.
    pub fn views(&self) -> (Vec<FillView>, Vec<EndedView>) {
        let rows = self.0.lock();
        let running: Vec<_> = rows.running.values().map(Arc::clone).collect();
        let ended = rows.ended.iter().cloned().collect();
        drop(rows);
        (running.iter().map(|told| told.view()).collect(), ended)
    }
}

/// One download among all.
#[derive(Debug)]
pub struct LedgerEntry {
    ledger: Ledger,
    number: u64,
    told: Arc<Told>,
}

impl LedgerEntry {
    /// What is told of it.
    pub fn told(&self) -> &Arc<Told> {
        &self.told
    }
}

impl Drop for LedgerEntry {
    fn drop(&mut self) {
        let last = self.told.view();
        let ended = self.told.state.lock().ended.take();
        let (outcome, cause) = ended.unwrap_or((FillOutcome::Cut, None));
        let mut rows = self.ledger.0.lock();
        rows.running.remove(&self.number);
        rows.ended.truncate(MAX_ENDED - 1);
        rows.ended.push_front(EndedView {
            last,
            outcome,
            cause,
        });
    }
}

/// What is told of one download.
#[derive(Debug)]
pub struct Told {
    digest: Digest,
    begun: BegunFor,
    started: SystemTime,
    began: Instant,
    audience: Audience,
    connections: AtomicUsize,
    state: Mutex<ToldState>,
}

#[derive(Debug)]
struct ToldState {
    stage: FillStage,
    resumed: u64,
    /// The bytes as they were last looked at, and when they last grew.
    arrived: Arrived,
    grew: Instant,
    /// The sample of the rate.
    sampled: (Instant, u64),
    rate: u64,
    ended: Option<(FillOutcome, Option<String>)>,
}

impl Told {
    fn new(begun: BegunFor, fill: &Fill) -> Self {
        let started_at = Instant::now();
        Self {
            digest: fill.digest(),
            begun,
            started: SystemTime::now(),
            began: started_at,
            audience: fill.audience(),
            connections: AtomicUsize::new(0),
            state: Mutex::new(ToldState {
                stage: FillStage::Slot,
                resumed: 0,
                arrived: Arrived::default(),
                grew: started_at,
                sampled: (started_at, 0),
                rate: 0,
                ended: None,
            }),
        }
    }

    /// It has come so far.
    pub fn reach(&self, stage: FillStage) {
        self.look();
        self.state.lock().stage = stage;
    }

    /// Bytes come from now on; so many are there already.
    pub fn begin_bytes(&self, there: u64) {
        let (mut state, now) = (self.state.lock(), Instant::now());
        state.stage = FillStage::Bytes;
        state.resumed = there;
        state.grew = now;
        state.sampled = (now, there);
    }

    /// One more connection, as long as the answer lives.
    pub fn connection(self: &Arc<Self>) -> CountedConnection {
        self.connections.fetch_add(1, Ordering::Relaxed);
        CountedConnection(Arc::clone(self))
    }

    /// Notes how far the bytes are. They are out of sight once it has failed.
    pub fn look(&self) {
        let Some(arrived) = self.audience.arrived() else {
            return;
        };
        let (mut state, now) = (self.state.lock(), Instant::now());
        if arrived.written > state.arrived.written {
            state.grew = now;
        }
        state.arrived = arrived;
        let (since, before) = state.sampled;
        let time = now.saturating_duration_since(since);
        if time >= SAMPLE && state.stage == FillStage::Bytes {
            let new = u128::from(arrived.written.saturating_sub(before));
            let rate = new * 1000 / time.as_millis().max(1);
            state.rate = u64::try_from(rate).unwrap_or(u64::MAX);
            state.sampled = (now, arrived.written);
        }
    }

    /// It ends so, for this cause.
    pub fn end(&self, outcome: FillOutcome, cause: Option<String>) {
        self.look();
        self.state.lock().ended = Some((outcome, cause));
    }

    fn view(&self) -> FillView {
        self.look();
        let state = self.state.lock();
        FillView {
            digest: self.digest,
            upstream: self.begun.upstream.clone(),
            repository: self.begun.repository.clone(),
            is_ahead: self.begun.is_ahead,
            started: self.started,
            age: self.began.elapsed(),
            size: state.arrived.size,
            written: state.arrived.written,
            resumed: state.resumed,
            rate: state.rate,
            still_for: state.grew.elapsed(),
            connections: self.connections.load(Ordering::Relaxed),
            followers: self.audience.count(),
            stage: state.stage,
        }
    }
}

/// A connection of a download that counts.
#[derive(Debug)]
pub struct CountedConnection(Arc<Told>);

impl Drop for CountedConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
