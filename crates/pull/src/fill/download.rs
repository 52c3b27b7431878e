//! A download of known size: its connections, how many there are, and what each of them brings.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use cache::ReadDemands;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tracing::{Instrument, debug, warn};
use upstream::{BlobBody, Deadline, FetchError};

use super::{
    place::Place,
    plan::{Plan, Segment},
    scale::{self, ConnectionScaler, Sample},
    transfer::{Asking, Broken, Transfer, fetch},
    waits::Waits,
};

/// Connections beside the wanted ones, for readers that wait far ahead of the rest.
const SIDE_CONNECTIONS: usize = 2;

/// A connection that has ended: its segments, and why.
type Ended = (Vec<Segment>, Result<(), Broken>);

/// A download over one connection or several.
pub(super) struct Download {
    transfer: Transfer,
    plan: Plan,
    scaler: ConnectionScaler,
    demands: Arc<ReadDemands>,
    waits: Waits,
    /// The place whose settings hold.
    place: Arc<Place>,
    /// Whether it comes in parts, as far as the first answer and the connections since have shown.
    in_parts: bool,
    asking: Asking,
    connections: JoinSet<Ended>,
    /// The connections that downloads may have beside their first, over all upstreams.
    extra: Arc<Semaphore>,
}

impl Download {
    /// A download that begins with one connection, and has more if it may come `in_parts`.
    pub(super) fn new(
        transfer: Transfer,
        plan: Plan,
        demands: Arc<ReadDemands>,
        in_parts: bool,
        extra: Arc<Semaphore>,
    ) -> Self {
        let place = transfer.sources.current();
        let asking = if place.source.refuses_ranges() {
            Asking::Whole(None)
        } else {
            Asking::Parts
        };
        let most = most_connections(&place, in_parts);
        Self {
            transfer,
            plan,
            scaler: ConnectionScaler::new(most),
            demands,
            waits: Waits::default(),
            place,
            in_parts,
            asking,
            connections: JoinSet::new(),
            extra,
        }
    }

    /// Runs until nothing is missing, or the fill takes no more and knows why.
    pub(super) async fn run(
        mut self,
        first: BlobBody,
        deadline: Deadline,
    ) -> Result<(), FetchError> {
        // The first segment is what the first answer brings.
        let segments = match first.end {
            None if !first.ranges => self.plan.rest(),
            end => {
                let length = end.map_or(u64::MAX, |end| end - first.start);
                self.plan.next(&[], length).into_iter().collect()
            }
        };
        if !segments.is_empty() {
            self.start(segments, Some(first), deadline, None);
        }
        let mut sampled = Instant::now();
        let mut tick = tokio::time::interval(scale::TICK);
        tick.tick().await;
        while !self.connections.is_empty() {
            tokio::select! {
                Some(ended) = self.connections.join_next() => match ended {
                    Ok((_, Err(Broken::Writer))) => return Ok(()),
                    Ok((segments, Err(Broken::Source(error, deadline)))) => {
                        self.lost(&segments, *error, deadline)?;
                    }
                    Ok((segments, Ok(()))) => self.ended(&segments),
                    // A panic in a connection; the fill will lack its bytes and fail.
                    Err(error) => warn!(%error, "a connection of a download panicked"),
                },
                () = self.demands.changed() => {}
                _ = tick.tick() => {}
            }
            self.sample(&mut sampled);
            let mut readers = self.demands.positions();
            readers.push(self.plan.in_order());
            let begins = || self.place.upstream().deadline();
            self.waits.are_at(&readers, begins);
            self.add();
        }
        Ok(())
    }

    /// Measures, once in each period and at the end of the first segment.
    fn sample(&mut self, sampled: &mut Instant) {
        let time = sampled.elapsed();
        if time < self.scaler.period() && !self.connections.is_empty() {
            return;
        }
        *sampled = Instant::now();
        let writer_wait = self.transfer.writer_wait.swap(0, Ordering::Relaxed);
        let bytes = self.transfer.received.swap(0, Ordering::Relaxed);
        let running = self.connections.len();
        self.transfer.page.receives(bytes, running);
        self.scaler.observe(Sample {
            bytes,
            time,
            writer_wait: Duration::from_micros(writer_wait),
            missing: self.plan.missing(),
            running,
        });
    }

    /// Starts connections up to the number there should be. The first needs no permit; further ones
    /// are bounded over all downloads.
    fn add(&mut self) {
        self.follow_place();
        // A registry whose rate each part counts for is asked for no more of them than are needed.
        let side = match most_connections(&self.place, self.in_parts) {
            1 => 0,
            _ => SIDE_CONNECTIONS,
        };
        loop {
            let running = self.connections.len();
            let demands = self.demands.positions();
            let length = self.scaler.length(!demands.is_empty());
            let length = length.max(self.place.source.least_request());
            let segment = if running < self.scaler.wanted() {
                self.plan.next(&demands, length)
            } else if running < self.scaler.wanted() + side {
                demands
                    .iter()
                    .find_map(|demand| self.plan.at_demand(*demand, length))
            } else {
                None
            };
            let Some(segment) = segment else { return };
            let permit = self.extra_connection();
            if running > 0 && permit.is_none() {
                self.plan.ended(&segment);
                return;
            }
            let wait = self.waits.at(segment.reached());
            // One that is over, while others bring their bytes, was for a connection to come free.
            let wait = wait.filter(|wait| !wait.is_over()).cloned();
            let deadline = wait.unwrap_or_else(|| self.place.upstream().deadline());
            self.start(vec![segment], None, deadline, permit);
        }
    }

    /// Once the download has moved, the bounds of the new place hold.
    fn follow_place(&mut self) {
        let current = self.transfer.sources.current();
        if !Arc::ptr_eq(&current, &self.place) {
            let most = most_connections(&current, self.in_parts);
            self.scaler.allow(most);
            self.place = current;
        }
    }

    fn start(
        &mut self,
        segments: Vec<Segment>,
        body: Option<BlobBody>,
        deadline: Deadline,
        permit: Option<ConnectionPermit>,
    ) {
        let (transfer, asking) = (self.transfer.clone(), self.asking);
        let connection = async move {
            let outcome = fetch(transfer, &segments, asking, body, deadline).await;
            drop(permit);
            (segments, outcome)
        };
        self.connections.spawn(connection.in_current_span());
    }

    /// The permit for one more connection to the place.
    fn extra_connection(&self) -> Option<ConnectionPermit> {
        // What goes to a place nearby is none of the upstream's.
        let of_upstream = if self.place.is_nearby() {
            None
        } else {
            Some(self.place.upstream().extra_connection()?)
        };
        let of_all = Arc::clone(&self.extra).try_acquire_owned().ok()?;
        Some((of_upstream, of_all))
    }

    fn ended(&mut self, segments: &[Segment]) {
        for segment in segments {
            self.plan.ended(segment);
        }
    }

    /// One connection has failed for good. While others run they take over the rest of its segment,
    /// but not for a reader that has waited there all the time. After the last one the blob is asked
    /// for without a range, once, in what is left of the `wait`.
    fn lost(
        &mut self,
        segments: &[Segment],
        error: FetchError,
        wait: Deadline,
    ) -> Result<(), FetchError> {
        self.ended(segments);
        if self.connections.is_empty() {
            let (Asking::Parts, Some(refusal), false) =
                (self.asking, error.range_refusal(), wait.is_over())
            else {
                return Err(error);
            };
            debug!(error = %error.chain(), "a range was refused; asking for the whole blob");
            self.asking = Asking::Whole(Some(refusal));
            self.scaler.shrink_to(1);
            self.in_parts = false;
            let rest = self.plan.rest();
            self.start(rest, None, wait, None);
            return Ok(());
        }
        let mut lost = segments.iter().map(Segment::reached);
        if lost.any(|at| self.waits.is_over(at, &wait)) {
            return Err(error);
        }
        debug!(error = %error.chain(), "one of several connections failed; the others continue");
        self.scaler.shrink_to(self.connections.len());
        self.in_parts = false;
        Ok(())
    }
}

/// The permit for one more connection: from its upstream if it goes there, and over all.
type ConnectionPermit = (Option<OwnedSemaphorePermit>, OwnedSemaphorePermit);

/// How many connections the download may have at a place. A registry that sends blobs itself and has
/// a configured rate is asked in two pieces at most: a further request is better spent on another
/// blob.
fn most_connections(place: &Place, in_parts: bool) -> usize {
    if in_parts && !place.source.is_rate_limited() {
        place.max_connections()
    } else {
        1
    }
}
