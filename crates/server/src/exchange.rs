//! Everything that passes between a connection and the routes that answer its requests.
//!
//! Down with a request, in its extensions:
//! - [`Arrival`]: the listener, the client's address, and the connection's [`SendfileTarget`]; to the
//!   admin routes just the [`Interface`].
//!
//! Up with a response, in its extensions:
//! - [`Replayable`]: the route's permission to give this answer again to an equal request;
//! - [`AccessRecord`]: how the access log counts and logs such a repeated answer.
//!
//! Sideways: a route that yields pieces of a mapped file notes that file in the connection's
//! [`SendfileTarget`]; the connection recognises the pieces by their address and has the kernel
//! send them.

mod request_id;

use std::{
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use config::Listener;

pub use self::request_id::{REQUEST_ID, RequestId};
pub use crate::zero_copy::SendfileTarget;
use crate::{activity::Activity, memory::MemoryPressure};

/// The kind of address on which a connection reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interface {
    /// Loopback: the other end is on this machine.
    Loopback,
    /// Any other.
    Network,
}

impl Interface {
    /// That of an address of ours.
    pub fn of(address: IpAddr) -> Self {
        if address.to_canonical().is_loopback() {
            Self::Loopback
        } else {
            Self::Network
        }
    }
}

/// Where a request came in.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The listener's own settings.
    pub listener: Arc<Listener>,
    /// The client's address: the one in a PROXY header, if the peer is trusted to send it.
    pub peer: IpAddr,
    /// The side on which the connection reached us.
    pub interface: Interface,
    /// Where to note the file an answer is sent from. `None` on a connection that cannot send from
    /// files (TLS, HTTP/2).
    pub sendfile: Option<Arc<SendfileTarget>>,
    /// Whether this connection can repeat answers. If not, nobody needs an [`AccessRecord`].
    pub is_replaying: bool,
}

/// The extension of a request for which memory is too short beside the others of its connection:
/// the answer is a 503.
#[derive(Clone, Copy, Debug)]
pub struct Shed;

/// The state of memory, and of one connection that may have several requests open.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) pressure: MemoryPressure,
    pub(crate) activity: Arc<Activity>,
}

impl Load {
    /// Whether a request that has just begun is one too many. Requests of a connection begin one
    /// after the other, so the first is not.
    pub(crate) fn is_short(&self) -> bool {
        !self.pressure.allows_streams() && self.activity.open() > 1
    }
}

/// A route's permission to give its answer again, without asking the route, to a request that
/// equals this one byte for byte.
#[derive(Clone, Debug)]
pub struct Replayable {
    /// The body, which the response has too.
    pub body: Bytes,
    /// How long the answer holds.
    pub holds_for: Duration,
    /// The count of tags written before the answer was made, if it depends on a tag: any write
    /// since ends the permission.
    pub tag_writes: Option<u64>,
}

/// Logs and counts a repeated answer. It counts as complete, since the connection gets it in one
/// piece. Cheap to clone.
#[derive(Clone)]
pub struct AccessRecord {
    write: Arc<dyn Fn(RequestId, SystemTime, Duration) + Send + Sync>,
    weight: usize,
}

impl AccessRecord {
    /// A record kept by `write`, which gets the answer's id, when it was given and how long after
    /// its request. It must not block. `weight` is how many bytes `write` holds.
    pub fn new(
        weight: usize,
        write: impl Fn(RequestId, SystemTime, Duration) + Send + Sync + 'static,
    ) -> Self {
        Self {
            write: Arc::new(write),
            weight,
        }
    }

    /// The bytes it holds.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// Logs and counts one more answer.
    pub(crate) fn write(&self, id: RequestId, at: SystemTime, elapsed: Duration) {
        (self.write)(id, at, elapsed);
    }
}

impl fmt::Debug for AccessRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AccessRecord")
    }
}
