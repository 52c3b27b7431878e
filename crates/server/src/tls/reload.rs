//! Reloads a listener's certificate and key when their files change.
//!
//! Both are one value, read together and checked to belong together. At the start, a pair that does
//! not fit is a mistake in the configuration; later it is a warning, and the last good pair stays.
//!
//! The files are polled, not watched: that costs two calls every few seconds, and notices changes
//! that notifications miss, such as a link higher up (a renewed Kubernetes secret) or a network
//! file system.

use std::time::Duration;

use config::KeyPairError;
use protocol::error_chain::ErrorChain;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::key_pair::{KeyPair, Refreshed};
use crate::metrics::{ReloadLabels, ServerMetrics};

/// Renewals come days before the old certificate ends.
const POLL_INTERVAL: Duration = Duration::from_secs(3);

/// Follows the files for as long as it is polled. New connections get the new certificate; open
/// ones keep theirs.
/// `replaced` is called for each of them.
pub(super) async fn follow(pair: &KeyPair, metrics: &ServerMetrics, replaced: impl Fn()) {
    let mut ticks = interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut logged = None;
    loop {
        ticks.tick().await;
        let files = pair.clone();
        let Ok(found) = tokio::task::spawn_blocking(move || files.refresh()).await else {
            // The runtime is ending.
            continue;
        };
        if matches!(found, Ok(Refreshed::Replaced)) {
            replaced();
        }
        report(pair, found, &mut logged, metrics);
    }
}

/// Logs and counts a change. A bad pair is tried again at each poll, but logged once.
fn report(
    pair: &KeyPair,
    found: Result<Refreshed, KeyPairError>,
    logged: &mut Option<String>,
    metrics: &ServerMetrics,
) {
    let result = match found {
        Ok(Refreshed::Unchanged) => {
            *logged = None;
            return;
        }
        Ok(Refreshed::Replaced) => {
            *logged = None;
            info!(cert = %pair.cert().display(), "loaded a renewed TLS certificate");
            "loaded"
        }
        Err(error) => {
            let error = ErrorChain(&error).to_string();
            if logged.as_ref() == Some(&error) {
                return;
            }
            warn!(%error, "cannot use the changed TLS certificate; keeping the last good one");
            *logged = Some(error);
            "refused"
        }
    };
    let labels = ReloadLabels { result };
    metrics.tls_reloads.get_or_create(&labels).inc();
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use config::{Flaw, KeyPairFiles, PairFile};
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    fn counted(metrics: &ServerMetrics, result: &'static str) -> u64 {
        let labels = ReloadLabels { result };
        metrics.tls_reloads.get_or_create(&labels).get()
    }

    #[test]
    fn the_same_mistake_is_said_once_and_again_after_it_was_mended() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["archway.test".to_owned()]).unwrap();
        std::fs::write(path("crt"), cert.pem()).unwrap();
        std::fs::write(path("key"), signing_key.serialize_pem()).unwrap();
        let pair = KeyPair::load(KeyPairFiles {
            cert: path("crt"),
            key: path("key"),
        })
        .unwrap();
        let wrong = |flaw| {
            Err(KeyPairError {
                file: PairFile::Key,
                path: PathBuf::from("/tls.key"),
                flaw,
            })
        };
        let metrics = ServerMetrics::default();
        let mut said = None;
        for (found, loaded, refused) in [
            (Ok(Refreshed::Unchanged), 0, 0),
            (wrong(Flaw::NoKey), 0, 1),
            (wrong(Flaw::NoKey), 0, 1),
            (wrong(Flaw::Mismatch), 0, 2),
            (Ok(Refreshed::Replaced), 1, 2),
            (wrong(Flaw::Mismatch), 1, 3),
            (Ok(Refreshed::Unchanged), 1, 3),
            (wrong(Flaw::Mismatch), 1, 4),
        ] {
            report(&pair, found, &mut said, &metrics);
            let counts = (counted(&metrics, "loaded"), counted(&metrics, "refused"));
            assert_eq!(counts, (loaded, refused));
        }
    }
}
