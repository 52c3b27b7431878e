//! The progress of a long command: a bar on a terminal, a line now and then in a log.

use std::{
    io::Write as _,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::table::size;

/// The time between two lines if there is no terminal.
const EVERY: Duration = Duration::from_secs(10);

const BAR: &str =
    "{wide_bar} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";

/// The bytes done of a total. Written to standard error, so that standard output holds the answer
/// alone.
pub(super) struct Progress {
    bar: ProgressBar,
    total: u64,
    done: AtomicU64,
    said: Mutex<Instant>,
}

impl Progress {
    pub(super) fn of(total: u64) -> Self {
        let style = ProgressStyle::with_template(BAR).expect("a template that was tried");
        Self {
            // Draws on standard error, and nothing at all if that is no terminal.
            bar: ProgressBar::new(total).with_style(style),
            total,
            done: AtomicU64::new(0),
            said: Mutex::new(Instant::now()),
        }
    }

    pub(super) fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if !self.bar.is_hidden() {
            self.bar.inc(bytes);
            return;
        }
        // If another worker holds the lock, it writes the line.
        let Ok(mut said) = self.said.try_lock() else {
            return;
        };
        if said.elapsed() >= EVERY {
            *said = Instant::now();
            let (done, total) = (size(done), size(self.total));
            let _ = writeln!(std::io::stderr(), "{done} of {total} read");
        }
    }

    /// Prints a line of the answer before the end.
    pub(super) fn say(&self, line: &str) {
        self.bar.suspend(|| {
            let _ = writeln!(std::io::stdout(), "{line}");
        });
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
