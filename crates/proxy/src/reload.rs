//! Reading the configuration again, and giving each part its share of it.
//!
//! A reload is whole or none: the file is checked, and what may fail is done, before any part gets
//! something new. What a part cannot change while it runs stays as at the start, and is named.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use config::{
    AdminConfig, Change, Config, ConfigError, Listener, Loaded, Log, PlatformConfig, Source,
};
use control::{ChangedKey, LiveConfig, ReloadError, ReloadOutcome, ReloadQueue, Reloaded};
use protocol::error_chain::ErrorChain;
use pull::Pull;
use server::{Bound, Server};
use systemd::ServiceManager;
use tokio::{signal::unix::Signal, time::timeout};
use tracing::{error, info, warn};

use crate::{listeners::Listeners, notices, prefetch::Prefetch, telemetry::LogLevels};

/// How long reading the file, and those that it names, may take: a share that hangs must not keep
/// later reloads waiting.
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// What stays as it was at the start, whatever the file says; `*` is any listener.
const NEEDS_RESTART: [&[&str]; 10] = [
    &["admin", "address"],
    &["admin", "socket"],
    &["cache"],
    &["listener", "*", "tls"],
    &["log", "format"],
    &["audit"],
    &["platform", "kubernetes"],
    &["replicas"],
    &["server"],
    &["tier"],
];

/// The parts that can be given new settings.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) live: LiveConfig,
    pub(crate) pull: Pull,
    pub(crate) prefetch: Prefetch,
    pub(crate) levels: LogLevels,
    pub(crate) listeners: Listeners,
    pub(crate) server: Server,
}

/// Reads the configuration again whenever it is asked to.
#[derive(Debug)]
pub(crate) struct Reloader {
    source: Source,
    /// The file as it was last applied; what needs a restart, as it was at the start.
    applied: Config,
    hangups: Signal,
    asked: ReloadQueue,
    parts: Parts,
}

impl Reloader {
    /// For what was read from `source` at the start; it reloads on these signals and requests.
    pub(crate) fn new(
        source: Source,
        started: Config,
        (hangups, asked): (Signal, ReloadQueue),
        parts: Parts,
    ) -> Self {
        Self {
            source,
            applied: started,
            hangups,
            asked,
            parts,
        }
    }

    /// Where the configuration is read from.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Serves the listeners of the start, each with its address in the configuration.
    pub(crate) fn serve(&mut self, bound: Vec<(SocketAddr, Bound)>) {
        for (address, bound) in bound {
            self.parts.listeners.serve(address, bound);
        }
    }

    /// Reloads on SIGHUP and for each request, one after the other, for as long as it is polled.
    pub(crate) async fn run(&mut self, manager: ServiceManager) {
        loop {
            tokio::select! {
                _ = self.hangups.recv() => {
                    // The log has the outcome.
                    let _ = self.reload(manager).await;
                }
                asked_by = self.asked.next() => {
                    let outcome = self.reload(manager).await;
                    // Whoever asked may have left.
                    let _ = asked_by.send(outcome);
                }
            }
        }
    }

    async fn reload(&mut self, manager: ServiceManager) -> ReloadOutcome {
        let _told = manager.reloading();
        let outcome = self.apply().await;
        let at = humantime::format_rfc3339_seconds(SystemTime::now());
        manager.status(&match &outcome {
            Ok(_) => format!("serving; the configuration was read again at {at}"),
            Err(_) => format!("serving as before; the reload at {at} failed, see the log"),
        });
        match &outcome {
            Ok(reloaded) => {
                let changed = listed(&reloaded.changed);
                info!(changed, "the configuration was read again");
                if !reloaded.needs_restart.is_empty() {
                    let keys = listed(&reloaded.needs_restart);
                    warn!(keys, "these keys of the configuration need a restart");
                }
            }
            Err(ReloadError::Ending) => {}
            Err(error) => {
                error!(%error, "the configuration cannot be used; the last one stays in force");
            }
        }
        outcome
    }

    async fn apply(&mut self) -> ReloadOutcome {
        let loaded = self.load().await?;
        let reloaded = self.compare(&loaded);
        if reloaded.changed.is_empty() {
            return Ok(reloaded);
        }
        let parts = &mut self.parts;
        let before = parts.live.current();
        let config = effective(loaded.config.clone(), &before);
        // This alone may fail.
        let followed = parts.listeners.follow(&config.listeners).await;
        followed.map_err(|error| ReloadError::Impossible(ErrorChain(&error).to_string()))?;
        let upstreams = parts.pull.upstreams();
        let share = || upstreams.replace(config.upstreams.clone());
        parts.live.replace(config.clone(), share);
        // Behind both: an answer that is stored from now on is one of the new configuration.
        parts.server.forget_answers();
        if config.prefetch != before.prefetch {
            parts.prefetch.replace(config.prefetch.clone());
        }
        parts.levels.replace(&config.log);
        notices::tell(&config);
        self.applied = effective(loaded.config, &self.applied);
        Ok(reloaded)
    }

    async fn load(&self) -> Result<Loaded, ReloadError> {
        let source = self.source.clone();
        let loading = tokio::task::spawn_blocking(move || source.load());
        let Ok(loaded) = timeout(LOAD_TIMEOUT, loading).await else {
            let text = format!(
                "the file, or one that it names, could not be read within {LOAD_TIMEOUT:?}; check their file systems"
            );
            return Err(ReloadError::Impossible(text));
        };
        let loaded = loaded.map_err(|_| ReloadError::Ending)?;
        loaded.map_err(|error| ReloadError::Invalid(mistakes(&error)))
    }

    fn compare(&self, loaded: &Loaded) -> Reloaded {
        let is_fixed = |change: &Change| NEEDS_RESTART.iter().any(|keys| change.is_in(keys));
        let found = loaded.changes_since(&self.applied);
        let (fixed, changed): (Vec<_>, Vec<_>) = found.iter().partition(|one| is_fixed(one));
        Reloaded {
            changed: changed.into_iter().map(ChangedKey::from).collect(),
            needs_restart: fixed.into_iter().map(ChangedKey::from).collect(),
        }
    }
}

/// What is in force from now on: `new`, but for what stays as in `running`.
fn effective(new: Config, running: &Config) -> Config {
    let listeners = new.listeners.into_iter().map(|listener| {
        let known = running
            .listeners
            .iter()
            .find(|known| known.address == listener.address);
        match known {
            Some(known) => Listener {
                tls: known.tls.clone(),
                ..listener
            },
            None => listener,
        }
    });
    Config {
        listeners: listeners.collect(),
        admin: AdminConfig {
            address: running.admin.address,
            socket: running.admin.socket.clone(),
            ..new.admin
        },
        cache: running.cache.clone(),
        log: Log {
            format: running.log.format,
            ..new.log
        },
        platform: PlatformConfig {
            kubernetes: running.platform.kubernetes.clone(),
            ..new.platform
        },
        audit: running.audit.clone(),
        replicas: running.replicas.clone(),
        server: running.server.clone(),
        tier: running.tier.clone(),
        ..new
    }
}

fn mistakes(error: &ConfigError) -> String {
    match error {
        ConfigError::Invalid(report) => report.to_string(),
        ConfigError::Read { .. } => ErrorChain(error).to_string(),
    }
}

fn listed(keys: &[ChangedKey]) -> String {
    let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
    keys.join(", ")
}
