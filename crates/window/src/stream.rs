//! What changes, as server-sent events.
//!
//! A frame is made when its viewer can take it, of what is there at that moment: a viewer that lags gets
//! fewer frames and each of them whole, and nothing waits for it in memory.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use admin_api::{Fills, Overview, Topic};
use futures_util::{Stream, stream};
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use serde::Serialize;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

use crate::{fills, overview, parts::Parts};

/// Viewers at the same time.
const MAX_VIEWERS: usize = 32;

/// How often a viewer is told what has changed.
const EVERY: Duration = Duration::from_secs(1);

/// After how long without a change it is told that there is none: shorter than what proxies wait.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a browser waits before it comes again.
const RETRY_MS: u32 = 3000;

/// The right to view, and how many do. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Viewers {
    seats: Arc<Semaphore>,
    taken: Gauge,
}

/// One viewer's, given back on drop.
#[derive(Debug)]
pub(crate) struct Seat {
    #[expect(dead_code, reason = "it is held")]
    permit: OwnedSemaphorePermit,
    taken: Gauge,
}

impl Default for Viewers {
    fn default() -> Self {
        Self {
            seats: Arc::new(Semaphore::new(MAX_VIEWERS)),
            taken: Gauge::default(),
        }
    }
}

impl Viewers {
    /// Registers the number of viewers. The registry's prefix goes before the name.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Streams of the admin API that are open";
        registry.register("admin_viewers", help, self.taken.clone());
    }

    pub(crate) fn seat(&self) -> Option<Seat> {
        let permit = Arc::clone(&self.seats).try_acquire_owned().ok()?;
        self.taken.inc();
        let taken = self.taken.clone();
        Some(Seat { permit, taken })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.taken.dec();
    }
}

/// The frames of one viewer, until the program stops.
pub(crate) fn frames(
    parts: Arc<Parts>,
    seat: Seat,
    topics: Vec<Topic>,
) -> impl Stream<Item = String> + Send + use<> {
    let viewer = Viewer {
        parts,
        seat,
        topics,
        due: VecDeque::from([format!("retry: {RETRY_MS}\n\n")]),
        overview: None,
        fills: None,
        events: None,
        sent: Instant::now(),
    };
    stream::unfold(viewer, |mut viewer| async move {
        let frame = viewer.next().await?;
        Some((frame, viewer))
    })
}

struct Viewer {
    parts: Arc<Parts>,
    #[expect(dead_code, reason = "it is held")]
    seat: Seat,
    topics: Vec<Topic>,
    /// Frames of this look that are not sent yet: one of each topic at most.
    due: VecDeque<String>,
    overview: Option<Overview>,
    fills: Option<Fills>,
    /// The number of the last event that was sent.
    events: Option<u64>,
    sent: Instant,
}

impl Viewer {
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(frame) = self.due.pop_front() {
                self.sent = Instant::now();
                return Some(frame);
            }
            let is_first = self.events.is_none() && self.fills.is_none() && self.overview.is_none();
            if !is_first {
                sleep(EVERY).await;
            }
            if self.parts.is_stopping() {
                return None;
            }
            self.look().await;
            if self.due.is_empty() && self.sent.elapsed() >= HEARTBEAT {
                self.due.push_back(": nothing new\n\n".to_owned());
            }
        }
    }

    async fn look(&mut self) {
        for topic in self.topics.clone() {
            let frame = match topic {
                Topic::Overview => self.overview(),
                Topic::Fills => self.fills().await,
                Topic::Events => self.events(),
            };
            self.due.extend(frame);
        }
    }

    fn overview(&mut self) -> Option<String> {
        let new = overview::gather(&self.parts);
        if let Some(old) = &mut self.overview {
            old.now = new.now;
        }
        let is_same = self.overview.as_ref() == Some(&new);
        let frame = (!is_same).then(|| frame(Topic::Overview, &new));
        self.overview = Some(new);
        frame
    }

    async fn fills(&mut self) -> Option<String> {
        let new = fills::gather(&self.parts).await;
        let is_same = self.fills.as_ref() == Some(&new);
        let frame = (!is_same).then(|| frame(Topic::Fills, &new));
        self.fills = Some(new);
        frame
    }

    fn events(&mut self) -> Option<String> {
        let last = self.parts.events.last();
        if self.events == Some(last) {
            return None;
        }
        let new = self.parts.events.since(self.events.unwrap_or(0));
        self.events = Some(new.last);
        Some(frame(Topic::Events, &new))
    }
}

/// JSON has no line breaks of its own, so it is one line.
fn frame(topic: Topic, data: &impl Serialize) -> String {
    let json = serde_json::to_string(data).expect("plain data always serialises");
    format!("event: {topic}\ndata: {json}\n\n")
}
