//! What a process holds, as the kernel counts it.

use std::fs;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often something is looked at for its peak.
const SAMPLE: Duration = Duration::from_millis(50);

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

/// The sockets this process has open.
pub fn sockets(process: u32) -> usize {
    let folder = fs::read_dir(format!("/proc/{process}/fd"));
    let entries = folder.expect("the process runs").flatten();
    // One that is closed meanwhile leads nowhere.
    let targets = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}
