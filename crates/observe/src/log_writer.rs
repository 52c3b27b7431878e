//! Writes the log, so that no request ever waits for the reader of the log.
//!
//! Access lines and log events are collected in memory, and a thread of their own writes them in
//! batches. A slow or stuck reader costs lines, never an answer: above a bound of waiting bytes,
//! new lines are dropped and counted, long ones earlier: whoever can make lines long must not make
//! those of others disappear.

use std::{
    io::{self, Write},
    sync::Arc,
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use prometheus_client::metrics::counter::Counter;

/// The most bytes that may wait: a tenth of a second's lines at 100,000 requests a second.
const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;

/// A line longer than this is dropped when half of [`MAX_WAITING_BYTES`] wait.
const LONG_LINE: usize = 4 * 1024;

/// How long the first line of a batch waits for more.
const BATCH_DELAY: Duration = Duration::from_millis(20);

/// Bytes that are written without further delay: a larger batch would leave the processor's cache
/// before it is written.
const BATCH_BYTES: usize = 64 * 1024;

/// Takes the lines of the log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogWriter(Arc<LogQueue>);

#[derive(Debug)]
struct LogQueue {
    lines: Mutex<WaitingLines>,
    changed: Condvar,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct WaitingLines {
    bytes: Vec<u8>,
    /// Whether the thread has taken a batch that it has not yet written.
    is_writing: bool,
}

impl LogWriter {
    /// Starts the thread that writes to `out`.
    pub fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Arc::new(LogQueue {
            lines: Mutex::default(),
            changed: Condvar::new(),
            dropped: Counter::default(),
        });
        let written = Arc::clone(&queue);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || written.write_to(out))?;
        Ok(Self(queue))
    }

    /// Adds the line that `write` appends, its line break included. Never waits for the reader.
    pub fn add(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut lines = self.0.lines.lock();
        if lines.bytes.len() >= MAX_WAITING_BYTES {
            self.0.dropped.inc();
            return;
        }
        let before = lines.bytes.len();
        write(&mut lines.bytes);
        if before >= MAX_WAITING_BYTES / 2 && lines.bytes.len() - before > LONG_LINE {
            lines.bytes.truncate(before);
            self.0.dropped.inc();
            return;
        }
        let after = lines.bytes.len();
        drop(lines);
        if before == 0 || (before < BATCH_BYTES && after >= BATCH_BYTES) {
            self.0.changed.notify_all();
        }
    }

    /// The counter of dropped lines, to be registered.
    pub fn dropped(&self) -> Counter {
        self.0.dropped.clone()
    }

    /// Waits until every line added so far is written, for `timeout` at most. For the end of the
    /// process.
    pub fn flush(&self, timeout: Duration) {
        let mut lines = self.0.lines.lock();
        let is_unwritten = |lines: &mut WaitingLines| !lines.bytes.is_empty() || lines.is_writing;
        self.0
            .changed
            .wait_while_for(&mut lines, is_unwritten, timeout);
    }
}

/// Each `write` is one event with its line break.
impl Write for LogWriter {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.add(|buffer| buffer.extend_from_slice(event));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LogQueue {
    /// Waits for the first line of a batch, then a little for more. `batch` must be empty.
    fn gather(&self, batch: &mut Vec<u8>) {
        let mut lines = self.lines.lock();
        self.changed
            .wait_while(&mut lines, |lines| lines.bytes.is_empty());
        let is_small = |lines: &mut WaitingLines| lines.bytes.len() < BATCH_BYTES;
        self.changed
            .wait_while_for(&mut lines, is_small, BATCH_DELAY);
        std::mem::swap(&mut lines.bytes, batch);
        lines.is_writing = true;
    }

    /// Writes batches for as long as the process runs.
    fn write_to(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        loop {
            self.gather(&mut batch);
            // An error has no place to be reported: it is the log itself that fails.
            let _ = out.write_all(&batch).and_then(|()| out.flush());
            batch.clear();
            self.lines.lock().is_writing = false;
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
            self.written.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_reader_costs_lines_and_no_waiting() {
        let (open, gate) = mpsc::channel();
        let written = Arc::default();
        let out = Slow {
            gate,
            written: Arc::clone(&written),
        };
        let log = LogWriter::to(out).unwrap();
        let dropped = log.dropped();
        let line = vec![b'x'; 64 * 1024];
        let handed_in = 2 * MAX_WAITING_BYTES / line.len() + 1;
        for _ in 0..handed_in {
            log.add(|buffer| buffer.extend_from_slice(&line));
        }
        assert!(dropped.get() > 0);
        for _ in 0..handed_in {
            open.send(()).unwrap();
        }
        log.flush(Duration::from_secs(30));
        let kept = handed_in as u64 - dropped.get();
        assert_eq!(written.lock().len() as u64, kept * line.len() as u64);
    }

    #[test]
    fn long_lines_leave_room_for_short_ones() {
        let (open, gate) = mpsc::channel();
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let out = Slow {
            gate,
            written: Arc::clone(&written),
        };
        let log = LogWriter::to(out).unwrap();
        let line = vec![b'x'; 64_000];
        for _ in 0..2 * MAX_WAITING_BYTES / line.len() {
            log.add(|buffer| buffer.extend_from_slice(&line));
        }
        let dropped = log.dropped().get();
        assert!(dropped > 0);
        for _ in 0..1000 {
            log.add(|buffer| buffer.extend_from_slice(b"short\n"));
        }
        assert_eq!(log.dropped().get(), dropped);
        drop(open);
    }
}
