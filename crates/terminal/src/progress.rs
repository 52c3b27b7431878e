//! The progress of a long command: a bar on a terminal, else a line every ten seconds.

use std::{
    io::Write as _,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;

use crate::table::size;

/// The time between two progress lines where standard error is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

const BAR: &str =
    "{wide_bar} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";

/// Bytes done out of a total. Written to standard error, so that standard output is the answer
/// alone.
pub struct Progress {
    bar: ProgressBar,
    /// What happens to the bytes: `read`.
    verb: &'static str,
    total: u64,
    done: AtomicU64,
    last_line: Mutex<Instant>,
}

impl Progress {
    /// Of `total` bytes that are `verb`, a past participle as in `read`.
    pub fn of(verb: &'static str, total: u64) -> Self {
        let style = ProgressStyle::with_template(BAR).expect("the template is valid");
        Self {
            // indicatif draws on standard error, and only where that is a terminal.
            bar: ProgressBar::new(total).with_style(style),
            verb,
            total,
            done: AtomicU64::new(0),
            last_line: Mutex::new(Instant::now()),
        }
    }

    /// Adds bytes that are done. Any thread may; none waits for another.
    pub fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if !self.bar.is_hidden() {
            self.bar.inc(bytes);
            return;
        }
        // A thread that finds the lock taken leaves the line to the thread that holds it.
        let Some(mut last_line) = self.last_line.try_lock() else {
            return;
        };
        if last_line.elapsed() >= LINE_INTERVAL {
            *last_line = Instant::now();
            let (done, total) = (size(done), size(self.total));
            let _ = writeln!(std::io::stderr(), "{done} of {total} {}", self.verb);
        }
    }

    /// Prints a line of the answer before the end of the command.
    pub fn print(&self, line: &str) {
        self.bar.suspend(|| {
            let _ = writeln!(std::io::stdout(), "{line}");
        });
    }

    /// Takes the bar away: what follows is the answer.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
