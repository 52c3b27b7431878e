//! A window of time in which many clients ask one server, and what it took.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};

use crate::peers::process::Server;

/// Time for connections to open and windows to grow before the clock starts.
const WARM_UP: Duration = Duration::from_millis(300);
/// What is measured.
const WINDOW: Duration = Duration::from_secs(2);

/// Shared by the client threads of one window.
#[derive(Default)]
pub(crate) struct Tally {
    bytes: AtomicU64,
    answers: AtomicU64,
    recording: AtomicBool,
    done: AtomicBool,
}

impl Tally {
    pub(crate) fn received(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the clock runs.
    pub(crate) fn is_recording(&self) -> bool {
        self.recording.load(Ordering::Relaxed)
    }

    /// Whether clients are to stop.
    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }

    fn now(&self, server: &Server) -> Moment {
        Moment {
            at: Instant::now(),
            cpu: server.cpu(),
            bytes: self.bytes.load(Ordering::Relaxed),
            answers: self.answers.load(Ordering::Relaxed),
        }
    }
}

struct Moment {
    at: Instant,
    cpu: f64,
    bytes: u64,
    answers: u64,
}

/// What happened in the window.
pub(crate) struct Window {
    pub(crate) seconds: f64,
    /// Body bytes that arrived.
    pub(crate) bytes: u64,
    /// Answers that were complete.
    pub(crate) answers: u64,
    /// What the server used.
    pub(crate) cpu: f64,
    /// Nanoseconds from request to the end of its answer, of every one that began and ended in the
    /// window.
    pub(crate) latencies: Vec<u32>,
}

impl Window {
    pub(crate) fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.seconds
    }

    /// Processor seconds of the server for 10^9 bytes.
    pub(crate) fn cpu_per_gigabyte(&self) -> f64 {
        self.cpu / (self.bytes as f64 / 1e9)
    }

    pub(crate) fn answers_per_second(&self) -> f64 {
        self.answers as f64 / self.seconds
    }

    pub(crate) fn cpu_micros_per_answer(&self) -> f64 {
        self.cpu * 1e6 / self.answers as f64
    }
}

/// Runs `client` in `threads` threads, each told its number, until the window is over. A client
/// returns its latencies.
pub(crate) fn run(
    server: &Server,
    threads: usize,
    client: impl Fn(usize, &Tally) -> anyhow::Result<Vec<u32>> + Sync,
) -> anyhow::Result<Window> {
    let tally = Tally::default();
    let (begun, ended, clients) = thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|number| {
                let (client, tally) = (&client, &tally);
                scope.spawn(move || client(number, tally))
            })
            .collect();
        thread::sleep(WARM_UP);
        let begun = tally.now(server);
        tally.recording.store(true, Ordering::Relaxed);
        thread::sleep(WINDOW);
        let ended = tally.now(server);
        tally.done.store(true, Ordering::Relaxed);
        let clients = running.into_iter().map(thread::ScopedJoinHandle::join);
        (begun, ended, clients.collect::<Vec<_>>())
    });
    let mut latencies = Vec::new();
    for client in clients {
        latencies.extend(client.map_err(|_| anyhow!("a client panicked"))??);
    }
    let bytes = ended.bytes - begun.bytes;
    ensure!(bytes > 0, "not one byte arrived");
    Ok(Window {
        seconds: ended.at.duration_since(begun.at).as_secs_f64(),
        bytes,
        answers: ended.answers - begun.answers,
        cpu: ended.cpu - begun.cpu,
        latencies,
    })
}
