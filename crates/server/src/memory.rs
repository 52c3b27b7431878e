//! One number for memory: near it, what can wait is held back, step by step.
//!
//! What counts is the process's own memory. Pages of files do not: the kernel takes them back when
//! it needs them. At 90 % of the budget nothing is prefetched, at 95 % an HTTP/2 connection has one
//! request at a time, at 98 % no connection is accepted. Each step is taken back five points lower,
//! so that it does not flutter. A few connections and one request on each are always allowed: where
//! memory is short for another reason, clients are still served.
//!
//! What clients have left behind is given back to the kernel, which the C library does not do by
//! itself.

mod giving_back;
mod limit;

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::Duration,
};

use rustix::param::page_size;
use tokio::{
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::{debug, info, warn};

use self::giving_back::GivingBack;
use crate::metrics::ServerMetrics;

/// The parts of the budget, in percent, at which each further step is taken.
const STEPS: [u64; 3] = [90, 95, 98];

/// How far below a step memory must fall before it is taken back, in percent of the budget.
const SLACK: u64 = 5;

/// How often memory is looked at. A client at full speed makes some tens of MiB in that time.
const INTERVAL: Duration = Duration::from_millis(250);

/// Connections that are accepted whatever memory says.
pub(crate) const ALWAYS_ACCEPTED: usize = 64;

/// How many steps are taken against a lack of memory. Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub struct MemoryPressure(Arc<AtomicU8>);

impl MemoryPressure {
    /// Whether there is memory for what no client has asked for.
    pub fn allows_prefetch(&self) -> bool {
        self.0.load(Relaxed) < 1
    }

    /// Whether there is memory for several requests on one connection.
    pub(crate) fn allows_streams(&self) -> bool {
        self.0.load(Relaxed) < 2
    }

    /// Whether there is memory for further connections.
    pub(crate) fn allows_connections(&self) -> bool {
        self.0.load(Relaxed) < 3
    }
}

/// The budget, and who follows it.
#[derive(Debug)]
pub struct MemoryBudget {
    budget: Option<u64>,
    pressure: MemoryPressure,
    metrics: ServerMetrics,
}

impl MemoryBudget {
    /// The budget that is `configured`, else half of what the cgroup allows, else none.
    pub fn new(configured: Option<u64>, metrics: ServerMetrics) -> Self {
        let budget = configured.or_else(|| limit::of_cgroup().map(|limit| limit / 2));
        if let Some(budget) = budget {
            info!(bytes = budget, "memory has a budget");
        }
        Self {
            budget,
            pressure: MemoryPressure::default(),
            metrics,
        }
    }

    /// What follows from memory while [`Self::watch`] is polled.
    pub fn pressure(&self) -> MemoryPressure {
        self.pressure.clone()
    }

    /// Looks at memory now and then, for as long as it is polled.
    pub async fn watch(self) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut giving_back = GivingBack::new(Instant::now());
        loop {
            ticks.tick().await;
            // Without it the number means nothing, and there is nothing to do about that.
            let Ok(used) = own_memory() else { continue };
            self.note(used);
            if giving_back.is_due(used, Instant::now()) {
                // It cannot fail but by the end of the runtime.
                let _ = spawn_blocking(allocator::trim).await;
                let after = own_memory().unwrap_or(used);
                giving_back.tried(used, after, Instant::now());
                debug!(before = used, after, "gave memory back");
            }
        }
    }

    fn note(&self, used: u64) {
        self.metrics.memory.set(used.cast_signed());
        let Some(budget) = self.budget else { return };
        let before = self.pressure.0.load(Relaxed);
        let after = step(before, used, budget);
        self.pressure.0.store(after, Relaxed);
        self.metrics.memory_steps.set(after.into());
        match (before, after) {
            (0, 1..) => warn!(
                used,
                budget, "memory is short: holding back prefetch, then requests, then connections"
            ),
            (1.., 0) => warn!(used, budget, "memory is no longer short"),
            _ => {}
        }
    }
}

/// The steps that are taken at `used` bytes, where `before` were.
fn step(before: u8, used: u64, budget: u64) -> u8 {
    let percent = used.saturating_mul(100) / budget.max(1);
    let reached = |slack| {
        STEPS
            .iter()
            .filter(|step| percent + slack >= **step)
            .count()
    };
    let (up, down) = (reached(0), reached(SLACK));
    let steps = usize::from(before).clamp(up, down);
    u8::try_from(steps).unwrap_or(u8::MAX)
}

/// The bytes of the process that belong to no file.
fn own_memory() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let mut pages = text.split(' ').map(str::parse::<u64>);
    // Size, resident, and how much of that is of files.
    let (Some(Ok(resident)), Some(Ok(of_files))) = (pages.nth(1), pages.next()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    Ok(resident.saturating_sub(of_files) * page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_taken_at_its_part_and_taken_back_five_points_lower() {
        for (before, percent, after) in [
            (0, 89, 0),
            (0, 90, 1),
            (1, 86, 1),
            (1, 85, 1),
            (1, 84, 0),
            (0, 95, 2),
            (2, 90, 2),
            (2, 89, 1),
            (1, 200, 3),
            (3, 93, 3),
            (3, 92, 2),
            (3, 50, 0),
        ] {
            assert_eq!(step(before, percent, 100), after, "{before} at {percent} %");
        }
    }

    #[test]
    fn memory_that_is_written_to_counts() {
        let before = own_memory().unwrap();
        let taken = vec![1_u8; 64 << 20];
        let after = own_memory().unwrap();
        assert!(
            after - before > 60 << 20,
            "{before} {after} {}",
            taken.len()
        );
    }
}
