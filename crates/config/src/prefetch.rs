//! `[prefetch]`: what is downloaded before a client asks for it.

use std::time::Duration;

use serde::Deserialize;

use super::{
    error::Problems,
    field::{Count, Field, Meaning, Wrong, or},
    print::Page,
    suggest,
    units::{Interval, Timeout},
};

const DEFAULT_MAX_RUNNING: usize = 4;
const MOST_RUNNING: usize = 256;
const DEFAULT_HALF_LIFE: Timeout = Timeout(Duration::from_hours(7 * 24));
const DEFAULT_REFRESH: Interval = Interval(Duration::ZERO);

/// What is downloaded before a client asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefetchConfig {
    /// By what it is decided.
    pub mode: Prefetch,
    /// Downloads ahead of clients at once; never zero.
    pub max_running: usize,
    /// After how long a pull counts half; never zero.
    pub half_life: Duration,
    /// How often tags that are pulled here are asked for again without a client; zero is never.
    pub refresh: Duration,
}

/// By what it is decided what to download ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefetch {
    /// Nothing is.
    Off,
    /// By the platforms that clients have pulled before.
    Learned,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table such as [prefetch]")]
pub(super) struct RawPrefetch {
    mode: Option<Field<Prefetch>>,
    max_running: Option<Count>,
    half_life: Option<Field<Timeout>>,
    refresh: Option<Field<Interval>>,
}

impl RawPrefetch {
    pub(super) fn resolve(self, problems: &mut Problems) -> PrefetchConfig {
        let max_running = self
            .max_running
            .and_then(|count| count.take("max_running", 1..=MOST_RUNNING, problems));
        PrefetchConfig {
            mode: or(self.mode, "mode", Prefetch::Learned, problems),
            max_running: max_running.unwrap_or(DEFAULT_MAX_RUNNING),
            half_life: or(self.half_life, "half_life", DEFAULT_HALF_LIFE, problems).0,
            refresh: or(self.refresh, "refresh", DEFAULT_REFRESH, problems).0,
        }
    }
}

impl PrefetchConfig {
    pub(super) fn print(&self, page: &mut Page) {
        page.header("[prefetch]");
        page.string("mode", self.mode.word());
        page.raw("max_running", self.max_running);
        page.duration("half_life", self.half_life);
        page.duration("refresh", self.refresh);
    }
}

impl Prefetch {
    const ALL: [Prefetch; 2] = [Prefetch::Off, Prefetch::Learned];

    fn word(self) -> &'static str {
        match self {
            Prefetch::Off => "off",
            Prefetch::Learned => "learned",
        }
    }
}

impl Meaning for Prefetch {
    const WHAT: &'static str = "one of the modes";
    const EXAMPLE: &'static str = "\"learned\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        suggest::word(text, Prefetch::ALL.map(|mode| (mode.word(), mode)))
    }
}
