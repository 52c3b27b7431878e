//! The downloads that run and the last that ended, as operators see them.
//!
//! Owns what nothing else of a download needs: who started it, its rate, what it waits for, how it
//! ended. A page is written where its download looks at itself anyway, a few times a second; nothing
//! here is on the way of a stored blob.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use admin_api::{
    EndedFill, FillEnd, FillOf, FillOrigin, FillPlace, FillWait, Fills, FillsNow, RunningFill, Time,
};
use cache::{Arrived, Audience, Fill, FillError};
use parking_lot::Mutex;
use protocol::error_chain::ErrorChain;
use slots::Asker;

use super::sources::Sources;
use crate::{Repository, error::FillFailure};

/// How many ended downloads are remembered.
const MAX_ENDED: usize = 100;

/// A download without a byte for this long is one that waits.
const SILENCE: Duration = Duration::from_secs(1);

/// The shortest time that a rate is measured over.
const MEASURED: Duration = Duration::from_millis(100);

/// The pages of all downloads.
#[derive(Debug)]
pub(crate) struct FillBook {
    pages: Arc<Mutex<Pages>>,
    /// How many downloads may run.
    max: usize,
}

#[derive(Debug, Default)]
struct Pages {
    next: u64,
    /// In the order of their beginning.
    running: BTreeMap<u64, Arc<FillPage>>,
    /// The latest first.
    ended: VecDeque<EndedFill>,
}

impl FillBook {
    pub(super) fn new(max: usize) -> Self {
        Self {
            pages: Arc::default(),
            max,
        }
    }

    /// A download begins. It runs until the answer is dropped.
    pub(super) fn open(
        &self,
        repository: &Repository,
        fill: &Fill,
        sources: &Arc<Sources>,
    ) -> OpenPage {
        let page = Arc::new(FillPage::new(repository, fill, sources));
        let mut pages = self.pages.lock();
        let number = pages.next;
        pages.next += 1;
        pages.running.insert(number, Arc::clone(&page));
        drop(pages);
        OpenPage {
            pages: Arc::clone(&self.pages),
            number,
            page,
        }
    }

    /// All of them, at this moment: one that ends meanwhile is among the running or the ended.
    pub(crate) fn fills(&self) -> Fills {
        let pages = self.pages.lock();
        Fills {
            running: pages.running.values().map(|page| page.running()).collect(),
            ended: pages.ended.iter().cloned().collect(),
            max: self.max,
        }
    }

    /// The sums of those that run. Who looks on asks each second, and has no use for the ended ones.
    pub(crate) fn now(&self) -> FillsNow {
        let pages = self.pages.lock();
        let mut now = FillsNow {
            running: pages.running.len(),
            max: self.max,
            ..FillsNow::default()
        };
        for fill in pages.running.values().map(|page| page.running()) {
            now.waiting += usize::from(fill.waits.is_some());
            now.followers += fill.followers;
            now.rate += fill.rate;
        }
        now
    }
}

/// The page of a download that runs.
#[derive(Debug)]
pub(super) struct OpenPage {
    pages: Arc<Mutex<Pages>>,
    number: u64,
    page: Arc<FillPage>,
}

impl OpenPage {
    pub(super) fn page(&self) -> &Arc<FillPage> {
        &self.page
    }
}

impl Drop for OpenPage {
    fn drop(&mut self) {
        let ended = self.page.ended();
        let mut pages = self.pages.lock();
        pages.running.remove(&self.number);
        pages.ended.truncate(MAX_ENDED - 1);
        pages.ended.push_front(ended);
    }
}

/// What is told of one download.
#[derive(Debug)]
pub(super) struct FillPage {
    of: FillOf,
    started: Time,
    begun: Instant,
    audience: Audience,
    /// Work ahead of clients follows its own download.
    unheard: usize,
    sources: Arc<Sources>,
    notes: Mutex<Notes>,
}

#[derive(Debug)]
struct Notes {
    /// What it waits for, if it waits.
    stage: FillWait,
    connections: usize,
    /// Bytes a second.
    rate: u64,
    /// Bytes since the rate was measured, and when that was.
    unmeasured: u64,
    measured: Instant,
    /// When the last byte came.
    heard: Instant,
    resumed: u64,
    /// What was there when its last byte had come.
    arrived: Arrived,
    end: Option<(FillEnd, Option<String>)>,
}

impl FillPage {
    fn new(repository: &Repository, fill: &Fill, sources: &Arc<Sources>) -> Self {
        let origin = match repository.asker {
            Asker::Client(_) => FillOrigin::Client,
            Asker::Replica(_) => FillOrigin::Replica,
            Asker::Ahead => FillOrigin::Prefetch,
        };
        let now = Instant::now();
        Self {
            of: FillOf {
                digest: fill.digest(),
                upstream: repository.upstream.host().to_string(),
                repository: repository.name.to_string(),
                image: None,
                platform: None,
                origin,
            },
            started: Time::now(),
            begun: now,
            audience: fill.audience(),
            unheard: usize::from(origin == FillOrigin::Prefetch),
            sources: Arc::clone(sources),
            notes: Mutex::new(Notes {
                stage: FillWait::Slot,
                connections: 0,
                rate: 0,
                unmeasured: 0,
                measured: now,
                heard: now,
                resumed: 0,
                arrived: Arrived::default(),
                end: None,
            }),
        }
    }

    /// It waits for this from now on.
    pub(super) fn waits_for(&self, wait: FillWait) {
        self.notes.lock().stage = wait;
    }

    /// Bytes come from now on; so many were there already.
    pub(super) fn begins(&self, resumed: u64) {
        let (mut notes, now) = (self.notes.lock(), Instant::now());
        notes.stage = FillWait::Bytes;
        notes.resumed = resumed;
        notes.connections = 1;
        (notes.heard, notes.measured) = (now, now);
    }

    /// So many bytes have come since the last call, over so many connections.
    pub(super) fn receives(&self, bytes: u64, connections: usize) {
        let (mut notes, now) = (self.notes.lock(), Instant::now());
        notes.connections = connections;
        notes.unmeasured += bytes;
        if bytes > 0 {
            notes.heard = now;
        }
        let time = now.saturating_duration_since(notes.measured);
        if time >= MEASURED {
            let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            let rate = notes.unmeasured.saturating_mul(1000) / millis;
            // Bytes of several connections come in bursts.
            notes.rate = match notes.rate {
                0 => rate,
                before => u64::midpoint(before, rate),
            };
            (notes.unmeasured, notes.measured) = (0, now);
        }
    }

    /// No more bytes come: it is stored, or fails.
    pub(super) fn brought(&self) {
        let arrived = self.audience.arrived();
        let mut notes = self.notes.lock();
        notes.stage = FillWait::Storing;
        (notes.connections, notes.rate) = (0, 0);
        notes.arrived = arrived.unwrap_or(notes.arrived);
    }

    /// How it ends, and the cause where it is not stored.
    pub(super) fn ends(&self, end: FillEnd, cause: Option<String>) {
        let arrived = self.audience.arrived();
        let mut notes = self.notes.lock();
        // The last bytes may have been on their way to the file.
        notes.arrived = arrived.unwrap_or(notes.arrived);
        notes.end = Some((end, cause));
    }

    /// It had begun, and is not stored.
    pub(super) fn fails(&self, error: &FillError) {
        let end = match FillFailure::of(error) {
            FillFailure::Storage if error.is_sent_past() => FillEnd::SentPast,
            FillFailure::Storage => FillEnd::Unstored,
            FillFailure::Content => FillEnd::Wrong,
            FillFailure::Abandoned => FillEnd::Cut,
            FillFailure::NoSlot => FillEnd::NoSlot,
            FillFailure::GaveWay => FillEnd::GaveWay,
            FillFailure::Source { .. } => FillEnd::Failed,
        };
        self.ends(end, Some(ErrorChain(error).to_string()));
    }

    fn running(&self) -> RunningFill {
        let (arrived, place) = (self.audience.arrived(), self.sources.current());
        let notes = self.notes.lock();
        let arrived = arrived.unwrap_or(notes.arrived);
        let is_silent = notes.heard.elapsed() > SILENCE;
        let comes = notes.stage == FillWait::Bytes && !is_silent;
        RunningFill {
            of: self.of.clone(),
            started: self.started,
            size: arrived.size,
            written: arrived.written,
            resumed: notes.resumed,
            rate: if comes { notes.rate } else { 0 },
            from: if place.source.is_replica() {
                FillPlace::Replica
            } else if place.is_nearby() {
                FillPlace::Tier
            } else {
                FillPlace::Upstream
            },
            connections: notes.connections,
            followers: self.audience.count().saturating_sub(self.unheard),
            waits: (!comes).then_some(notes.stage),
        }
    }

    /// Without an end of its own it was cut.
    fn ended(&self) -> EndedFill {
        let notes = self.notes.lock();
        let (end, cause) = notes.end.clone().unwrap_or((FillEnd::Cut, None));
        EndedFill {
            of: self.of.clone(),
            started: self.started,
            ended: Time::now(),
            took_ms: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            size: notes.arrived.size,
            written: notes.arrived.written,
            resumed: notes.resumed,
            end,
            cause,
        }
    }
}
