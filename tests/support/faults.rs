//! What a double can be told to do wrong, per request, until it is told to stop.
//!
//! A [`Fault`] is laid on the requests that an [`On`] describes. Byte offsets are those of the blob
//! or manifest, also when a range of it is asked for: a request that starts behind the offset of a
//! cut is not cut, as with a real flaky line.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use tokio::sync::watch;

use crate::wait::within;

/// One way to misbehave.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answer this instead, with the OCI error body that goes with it.
    Status(StatusCode),
    /// Answer this instead, in plain words that are no registry's.
    Page(StatusCode),
    /// Answer 200 with this type and body instead.
    Replace(&'static str, Bytes),
    /// Answer 307 to this place instead.
    Redirect(String),
    /// Add a header to whatever is answered.
    Header(HeaderName, HeaderValue),
    /// Do not answer before the gate opens.
    HoldHeaders(Gate),
    /// Send this many bytes, then wait for the gate.
    HoldBody(u64, Gate),
    /// Send this many bytes, then end the connection.
    Cut(u64, Cut),
    /// Flip the lowest bit of the byte at this offset.
    FlipBit(u64),
    /// Announce and send only so many bytes.
    Truncate(u64),
    /// Announce and send so many bytes more.
    Extend(u64),
    /// Announce no length.
    NoLength,
    /// Answer a range with the whole.
    IgnoreRange,
    /// Answer a range that begins at this offset or later with this status.
    RefuseRange(u64, StatusCode),
    /// Answer 416 to a range without an end and to one that ends beyond the blob, as
    /// go-containerregistry's registry does.
    StrictRange,
    /// Answer a range without saying which one it is.
    HideRange,
    /// Answer a range without the size of the whole.
    HideSize,
    /// Of a range send only what lies before this offset, and end in good order.
    EndRangeAt(u64),
    /// Send no more than so many bytes a second.
    Throttle(u64),
    /// Be so far away: answer only after this time.
    Distance(Duration),
}

/// How a cut connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Orderly on the TCP level: all that was sent arrives.
    Fin,
    /// With a reset: the client may lose the last of what was sent.
    Rst,
}

/// Which requests a fault is laid on.
#[derive(Clone, Debug, Default)]
pub struct On {
    method: Option<Method>,
    path: String,
    share: Option<Share>,
}

/// One in so many requests, the same ones in each run: which of the requests for a path, the seed
/// says.
#[derive(Clone, Copy, Debug)]
struct Share {
    one_in: u64,
    seed: u64,
}

impl Share {
    fn holds(self, path: &str, nth: u64) -> bool {
        let mut hasher = DefaultHasher::new();
        (self.seed, path, nth).hash(&mut hasher);
        hasher.finish().is_multiple_of(self.one_in)
    }
}

impl On {
    /// Every request.
    pub fn all() -> Self {
        Self::default()
    }

    /// Requests whose path contains `part`.
    pub fn path(part: impl Display + Copy) -> Self {
        Self {
            path: part.to_string(),
            ..Self::default()
        }
    }

    /// Of these, only those with `method`.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Of these, only one in so many.
    #[must_use]
    pub fn one_in(mut self, one_in: u64, seed: u64) -> Self {
        self.share = Some(Share { one_in, seed });
        self
    }

    fn covers(&self, method: &Method, path: &str) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted == method) && path.contains(&self.path)
    }
}

/// The faults that are laid at the moment; clones are handles to the same ones.
#[derive(Clone, Default)]
pub struct Faults {
    rules: Arc<Mutex<Vec<Rule>>>,
}

struct Rule {
    on: On,
    fault: Fault,
    left: Option<usize>,
    /// How often each path was asked for, where only a share counts.
    asked: HashMap<String, u64>,
}

impl Faults {
    /// Lays `fault` on every request of `on` until [`Faults::clear`].
    pub fn add(&self, on: On, fault: Fault) {
        self.push(on, fault, None);
    }

    /// Lays `fault` on the next `times` requests of `on`.
    pub fn times(&self, times: usize, on: On, fault: Fault) {
        self.push(on, fault, Some(times));
    }

    /// Lets the body of every answer to `on` stand still after so many bytes, until the gate is
    /// opened.
    pub fn hold_body(&self, on: On, after: u64) -> Gate {
        let gate = Gate::new();
        self.add(on, Fault::HoldBody(after, gate.clone()));
        gate
    }

    /// Lets every request of `on` go unanswered until the gate is opened.
    pub fn hold_headers(&self, on: On) -> Gate {
        let gate = Gate::new();
        self.add(on, Fault::HoldHeaders(gate.clone()));
        gate
    }

    /// From here on all goes well again. Bodies that are under way keep their faults.
    pub fn clear(&self) {
        self.rules.lock().expect("no panic under it").clear();
    }

    fn push(&self, on: On, fault: Fault, left: Option<usize>) {
        let rule = Rule {
            on,
            fault,
            left,
            asked: HashMap::new(),
        };
        self.rules.lock().expect("no panic under it").push(rule);
    }

    /// The faults of one request; those of limited number count it.
    pub(crate) fn of(&self, method: &Method, path: &str) -> Vec<Fault> {
        let mut rules = self.rules.lock().expect("no panic under it");
        let mut faults = Vec::new();
        for rule in rules.iter_mut().filter(|rule| rule.on.covers(method, path)) {
            if rule.left == Some(0) {
                continue;
            }
            if let Some(share) = rule.on.share {
                let asked = rule.asked.entry(path.to_owned()).or_default();
                *asked += 1;
                if !share.holds(path, *asked) {
                    continue;
                }
            }
            rule.left = rule.left.map(|left| left - 1);
            faults.push(rule.fault.clone());
        }
        faults
    }
}

/// A place where answers wait until the test lets them go on; clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    open: watch::Sender<bool>,
    arrived: watch::Sender<usize>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            open: watch::Sender::new(false),
            arrived: watch::Sender::new(0),
        }
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets through all that wait and all that come.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until somebody stands at the gate or has passed it.
    pub async fn arrived(&self) {
        let mut arrived = self.arrived.subscribe();
        let somebody = arrived.wait_for(|count| *count > 0);
        within("an answer reaches the gate", somebody)
            .await
            .expect("the gate is held");
    }

    pub(crate) async fn pass(&self) {
        self.arrived.send_modify(|count| *count += 1);
        let mut open = self.open.subscribe();
        // The test may drop the gate's last handle: then it never opens, as a stalled server.
        if open.wait_for(|open| *open).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
