//! Log lines on their way out, so that nothing waits for whoever reads the log.
//!
//! Lines, of requests and of events alike, are collected in memory and written by a thread of their own, many at a time. A
//! reader that is too slow or stands still costs lines, never an answer: beyond a bound they are dropped and counted.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;

/// Bytes of lines that may wait. At a hundred thousand requests a second this is a tenth of a second.
const BOUND: usize = 4 * 1024 * 1024;

/// How long a line waits for company.
const GATHER: Duration = Duration::from_millis(20);

/// Bytes of lines that are company enough: more would leave the processor's cache before they are written.
const BATCH: usize = 64 * 1024;

/// Where lines are handed in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lines(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// What the thread has taken and not written yet.
    writing: bool,
}

impl Lines {
    /// Starts the thread that writes to `out`.
    pub fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            dropped: Counter::default(),
        });
        let writer = Arc::clone(&shared);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.write_to(out))?;
        Ok(Self(shared))
    }

    /// Adds a line, which `write` appends with its end. Never waits for the reader.
    pub fn add(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        if state.waiting.len() >= BOUND {
            self.0.dropped.inc();
            return;
        }
        let before = state.waiting.len();
        write(&mut state.waiting);
        let after = state.waiting.len();
        drop(state);
        if before == 0 || (before < BATCH && after >= BATCH) {
            self.0.changed.notify_all();
        }
    }

    /// How many lines had to be dropped, to be registered.
    pub fn dropped(&self) -> Counter {
        self.0.dropped.clone()
    }

    /// Waits until all lines handed in so far are written, or for `patience`. For the end of the process.
    pub fn flush(&self, patience: Duration) {
        let state = self.0.lock();
        let written = self.0.changed.wait_timeout_while(state, patience, |state| {
            !state.waiting.is_empty() || state.writing
        });
        drop(written);
    }
}

/// An event comes as one text, with its end.
impl Write for Lines {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.add(|buffer| buffer.extend_from_slice(event));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines, and a little for more of them. `batch` is empty before.
    fn gather(&self, batch: &mut Vec<u8>) {
        let some = self
            .changed
            .wait_while(self.lock(), |state| state.waiting.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let (mut state, _) = self
            .changed
            .wait_timeout_while(some, GATHER, |state| state.waiting.len() < BATCH)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.waiting, batch);
        state.writing = true;
    }

    /// Runs for as long as the process.
    fn write_to(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        loop {
            self.gather(&mut batch);
            // Nobody could be told of an error here but the one who does not read.
            let _ = out.write_all(&batch).and_then(|()| out.flush());
            batch.clear();
            self.lock().writing = false;
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Slow {
        gate: mpsc::Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.gate.recv().map_err(std::io::Error::other)?;
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stands_still_costs_lines_and_no_waiting() {
        let (open, gate) = mpsc::channel();
        let written = Arc::default();
        let out = Slow {
            gate,
            written: Arc::clone(&written),
        };
        let lines = Lines::to(out).unwrap();
        let dropped = lines.dropped();
        let line = vec![b'x'; 64 * 1024];
        let handed_in = 2 * BOUND / line.len() + 1;
        for _ in 0..handed_in {
            lines.add(|buffer| buffer.extend_from_slice(&line));
        }
        assert!(dropped.get() > 0);
        for _ in 0..handed_in {
            open.send(()).unwrap();
        }
        lines.flush(Duration::from_secs(30));
        let kept = handed_in as u64 - dropped.get();
        assert_eq!(
            written.lock().unwrap().len() as u64,
            kept * line.len() as u64
        );
    }
}
