//! The log of a running Archway, readable while it is written.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::wait::eventually;

/// Every line of stderr so far; clones read the same.
#[derive(Clone, Default)]
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    stalled: Arc<AtomicBool>,
}

impl Log {
    /// Reads `source` to its end, on a thread of its own.
    pub(crate) fn follow(source: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let (lines, stalled) = (Arc::clone(&log.lines), Arc::clone(&log.stalled));
        std::thread::spawn(move || {
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                while stalled.load(Ordering::Relaxed) {
                    std::thread::park();
                }
                lines.lock().expect("no panic under it").push(line);
            }
        });
        log
    }

    /// From now on nobody reads it, and the pipe stays open: it fills up.
    pub fn stall(&self) {
        self.stalled.store(true, Ordering::Relaxed);
    }

    /// All of it.
    pub fn text(&self) -> String {
        self.lines.lock().expect("no panic under it").join("\n")
    }

    /// Waits until it holds `text`.
    pub async fn says(&self, text: &str) {
        let what = format!("the log says {text:?}");
        eventually(&what, async || self.text().contains(text).then_some(())).await;
    }

    pub(crate) fn tail(&self, count: usize) -> String {
        let lines = self.lines.lock().expect("no panic under it");
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    /// The lines that are JSON.
    pub fn events(&self) -> Vec<Value> {
        let lines = self.lines.lock().expect("no panic under it");
        let parsed = lines.iter().map(|line| serde_json::from_str(line));
        parsed.filter_map(Result::ok).collect()
    }

    /// The lines of the access log.
    pub fn requests(&self) -> Vec<Value> {
        let mut events = self.events();
        events.retain(|event| event["target"] == "access");
        events
    }

    /// Waits for an access-log line that `fits`.
    pub async fn request(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || {
            self.requests().into_iter().find(|event| fits(event))
        })
        .await
    }

    /// Kind and address of each listener that has said it accepts.
    pub fn listening(&self) -> Vec<(String, SocketAddr)> {
        let mut events = self.events();
        events.retain(|event| event["message"] == "listening");
        let told = events.iter().filter_map(|event| {
            let kind = event["listener"].as_str()?;
            let address = event["address"].as_str()?.parse().ok()?;
            Some((kind.to_owned(), address))
        });
        told.collect()
    }
}
