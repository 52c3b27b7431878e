//! The parts that the window looks at, and what it remembers.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use admin_api::{DiskUse, Time};
use cluster::NodeList;
use control::LiveConfig;
use manifest_model::Digest;
use observe::metrics::Metrics;
use parking_lot::Mutex;
use pull::{Pull, Tasks};

use crate::{counted::Counted, events::EventRing, history::Past, survey::Surveys};

/// How old the numbers may be: many viewers look at the same ones.
const FRESH_FOR: Duration = Duration::from_millis(900);

/// The parts that the window looks at.
#[derive(Debug)]
pub struct WindowParts {
    /// Downloads, cache and upstreams.
    pub pull: Pull,
    /// The configuration in force.
    pub config: LiveConfig,
    /// All that is counted.
    pub metrics: Arc<Metrics>,
    /// The nodes of the cluster.
    pub nodes: NodeList,
    /// False once shutdown has begun.
    pub ready: Arc<AtomicBool>,
    /// What was logged of late.
    pub events: EventRing,
    /// For work in the background.
    pub tasks: Tasks,
}

/// The same, with what is remembered.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) pull: Pull,
    pub(crate) config: LiveConfig,
    pub(crate) nodes: NodeList,
    pub(crate) events: EventRing,
    pub(crate) tasks: Tasks,
    pub(crate) started: Time,
    pub(crate) past: Past,
    pub(crate) surveys: Surveys,
    /// What each download of late is for.
    pub(crate) images: Mutex<HashMap<Digest, ImageOfFill>>,
    metrics: Arc<Metrics>,
    ready: Arc<AtomicBool>,
    counted: Mutex<Option<(Instant, Arc<Counted>)>>,
}

/// What a download is for, as far as it was found.
#[derive(Clone, Debug)]
pub(crate) struct ImageOfFill {
    pub(crate) image: Option<String>,
    pub(crate) platform: Option<String>,
    pub(crate) looked: Instant,
}

impl Parts {
    pub(crate) fn new(parts: WindowParts) -> Self {
        Self {
            pull: parts.pull,
            config: parts.config,
            nodes: parts.nodes,
            events: parts.events,
            tasks: parts.tasks,
            started: Time::now(),
            past: Past::default(),
            surveys: Surveys::default(),
            images: Mutex::default(),
            metrics: parts.metrics,
            ready: parts.ready,
            counted: Mutex::default(),
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        !self.ready.load(Ordering::Relaxed)
    }

    /// All that is counted, as of now or a moment ago.
    pub(crate) fn counted(&self) -> Arc<Counted> {
        let mut counted = self.counted.lock();
        match &*counted {
            Some((at, known)) if at.elapsed() < FRESH_FOR => Arc::clone(known),
            _ => {
                let new = Arc::new(self.count());
                *counted = Some((Instant::now(), Arc::clone(&new)));
                new
            }
        }
    }

    /// All that is counted, as of now.
    pub(crate) fn count(&self) -> Counted {
        self.pull.observe();
        self.nodes.observe();
        Counted::read(&self.metrics.own())
    }

    pub(crate) fn disk(&self) -> DiskUse {
        let cache = self.pull.cache();
        let usage = cache.usage();
        DiskUse {
            bytes: usage.bytes,
            blobs: usage.blobs,
            max_bytes: cache.max_size(),
            pinned_bytes: usage.pinned_bytes,
            evicted_bytes: usage.evicted_bytes,
            disk_free: usage.available,
            disk_reserve: cache.min_free(),
        }
    }
}
