//! The registry that is pulled from: as fast as it can, or with the latency and the rate of a far
//! one; it counts what it sends and cuts connections where it is told to.

mod answer;
mod connection;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::content::{Content, Object};

/// How far away it seems.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shape {
    /// Before each answer.
    pub(crate) latency: Duration,
    /// Bytes per second of one connection; none is as fast as it goes.
    pub(crate) rate: Option<u64>,
}

impl Shape {
    /// 20 ms away, 100 MB/s on each connection.
    pub(crate) const FAR: Self = Self {
        latency: Duration::from_millis(20),
        rate: Some(100_000_000),
    };
}

/// A running origin. It ends with its handle.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

/// What its connections share.
struct State {
    shape: Shape,
    blobs: Vec<Object>,
    manifest: Object,
    /// Body bytes of blobs that were sent.
    bytes: AtomicU64,
    /// GETs of blobs.
    requests: AtomicU64,
    /// Positions in a blob at which a connection breaks, each once.
    cuts: Mutex<Vec<u64>>,
    closed: AtomicBool,
}

impl Origin {
    pub(crate) fn start(content: &Content, shape: Shape) -> anyhow::Result<Self> {
        Self::start_with_cuts(content, shape, Vec::new())
    }

    /// It breaks the first connection that reaches one of these positions of a blob.
    pub(crate) fn start_with_cuts(
        content: &Content,
        shape: Shape,
        cuts: Vec<u64>,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            shape,
            blobs: content.blobs().map(Clone::clone).into(),
            manifest: content.manifest.clone(),
            bytes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            cuts: Mutex::new(cuts),
            closed: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || accept(&listener, &shared));
        Ok(Self { address, state })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has sent of blobs since it was last asked.
    pub(crate) fn take_bytes(&self) -> u64 {
        self.state.bytes.swap(0, Ordering::Relaxed)
    }

    /// The GETs of blobs since it was last asked.
    pub(crate) fn take_requests(&self) -> u64 {
        self.state.requests.swap(0, Ordering::Relaxed)
    }

    /// Cuts that nothing has reached yet.
    pub(crate) fn cuts_left(&self) -> usize {
        self.state.cuts().len()
    }
}

impl State {
    fn cuts(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first cut in this stretch of a blob, which is used up by that.
    fn take_cut(&self, from: u64, to: u64) -> Option<u64> {
        let mut cuts = self.cuts();
        let index = cuts.iter().position(|cut| (from..to).contains(cut))?;
        Some(cuts.swap_remove(index))
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, which then sees that it is over.
        let _ = std::net::TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    for stream in listener.incoming().map_while(Result::ok) {
        if state.closed.load(Ordering::Relaxed) {
            return;
        }
        let state = Arc::clone(state);
        // A client that breaks off ends its thread; that is no trouble of the origin's.
        thread::spawn(move || connection::serve(stream, &state));
    }
}
