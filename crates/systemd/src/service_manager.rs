//! What the service manager is told: ready, reloading, stopping, alive.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;
use tracing::warn;

/// What the end may take beyond the grace of clients and downloads: the last flush, the last log
/// lines.
const END_MARGIN: Duration = Duration::from_secs(10);

/// Signs of life within the time that the manager waits for one.
const WATCHDOG_SIGNS: f64 = 3.0;

/// The service manager of this process, if it has one. Cheap to clone.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServiceManager {
    /// Within which time it wants a sign of life.
    watchdog: Option<Duration>,
}

/// A reload under way. Its end, by whatever way, tells the service manager that it is over.
#[derive(Debug)]
#[must_use = "a reload is over when this is dropped"]
pub struct Reload(());

impl ServiceManager {
    /// The one that the environment names.
    pub fn from_environment() -> Self {
        Self {
            watchdog: sd_notify::watchdog_enabled().filter(|within| !within.is_zero()),
        }
    }

    /// Everything is there that others may ask for.
    pub fn ready(self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// The configuration is read again, until the value is dropped. For a unit of `Type=notify-reload`
    /// the manager waits for that.
    pub fn reloading(self) -> Reload {
        // Without the time, which lies in front of the next READY, systemd takes that one for older.
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            tell(&[NotifyState::Reloading, now]);
        }
        Reload(())
    }

    /// What there is to know of this process, for people.
    pub fn status(self, status: &str) {
        tell(&[NotifyState::Status(status)]);
    }

    /// The end begins and takes `grace` at most, which may be longer than the unit allows.
    pub fn stopping(self, grace: Duration) {
        let status = format!("ending; clients and downloads have {grace:?}");
        let end = (grace + END_MARGIN).as_micros();
        tell(&[
            NotifyState::Stopping,
            NotifyState::ExtendTimeoutUsec(end.try_into().unwrap_or(u32::MAX)),
            NotifyState::Status(&status),
        ]);
    }

    /// Gives signs of life for as long as it is polled, if the manager wants some: a runtime that
    /// does not come to this any more serves nobody either.
    pub async fn keep_alive(self) {
        let Some(within) = self.watchdog else {
            return;
        };
        let mut ticks = tokio::time::interval(within.div_f64(WATCHDOG_SIGNS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            tell(&[NotifyState::Watchdog]);
        }
    }
}

impl Drop for Reload {
    fn drop(&mut self) {
        tell(&[NotifyState::Ready]);
    }
}

/// Without a service manager nothing happens.
fn tell(news: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(news) {
        warn!(%error, "the service manager could not be notified");
    }
}
