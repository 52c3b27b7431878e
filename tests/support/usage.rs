//! What a process holds, as the kernel counts it.

use std::fs;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often something is looked at for its peak.
const SAMPLE: Duration = Duration::from_millis(50);

/// Less than this is no move of a process's memory.
const NOISE: u64 = 64 << 10;

/// After which memory that never comes to rest is taken as it is.
const RESTLESS: Duration = Duration::from_secs(40);

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// What belongs to nobody else: no page cache, no program text.
    pub anonymous: u64,
    /// All that is in memory for it, page cache included.
    pub resident: u64,
}

impl Memory {
    /// Of this process now.
    pub fn of(process: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status"));
        let status = status.expect("the process runs");
        Self {
            anonymous: kibibytes(&status, "RssAnon:") << 10,
            resident: kibibytes(&status, "VmRSS:") << 10,
        }
    }

    /// The most that this process has within `time`.
    pub async fn peak(process: u32, time: Duration) -> Self {
        let until = Instant::now() + time;
        let mut peak = Self::of(process);
        while Instant::now() < until {
            sleep(SAMPLE).await;
            let now = Self::of(process);
            peak.anonymous = peak.anonymous.max(now.anonymous);
            peak.resident = peak.resident.max(now.resident);
        }
        peak
    }

    /// What it has when it has not become less for `still`: an allocator gives back what clients held
    /// a while after they left.
    pub async fn least(process: u32, still: Duration) -> Self {
        let mut now = Self::of(process);
        let mut settling = Settling::at(now);
        while !settling.is_over(still) {
            sleep(SAMPLE).await;
            now = Self::of(process);
            if now.anonymous + NOISE <= settling.extreme {
                settling.moved_to(now.anonymous);
            }
        }
        now
    }

    /// The most that it has until that has not become more for `still`.
    pub async fn most(process: u32, still: Duration) -> Self {
        let mut peak = Self::of(process);
        let mut settling = Settling::at(peak);
        while !settling.is_over(still) {
            sleep(SAMPLE).await;
            let now = Self::of(process);
            peak.anonymous = peak.anonymous.max(now.anonymous);
            peak.resident = peak.resident.max(now.resident);
            if now.anonymous >= settling.extreme + NOISE {
                settling.moved_to(now.anonymous);
            }
        }
        peak
    }
}

/// Whether memory has settled: it has not gone its way for a while.
struct Settling {
    extreme: u64,
    moved_at: Instant,
    begun_at: Instant,
}

impl Settling {
    fn at(memory: Memory) -> Self {
        let now = Instant::now();
        Self {
            extreme: memory.anonymous,
            moved_at: now,
            begun_at: now,
        }
    }

    fn moved_to(&mut self, extreme: u64) {
        self.extreme = extreme;
        self.moved_at = Instant::now();
    }

    fn is_over(&self, still: Duration) -> bool {
        self.moved_at.elapsed() >= still || self.begun_at.elapsed() >= RESTLESS
    }
}

fn kibibytes(status: &str, key: &str) -> u64 {
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix(key));
    let number = value.and_then(|value| value.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The descriptors this process has open.
pub fn descriptors(process: u32) -> usize {
    let folder = fs::read_dir(format!("/proc/{process}/fd"));
    folder.expect("the process runs").count()
}
