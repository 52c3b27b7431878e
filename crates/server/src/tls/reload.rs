//! Keeps a listener's certificate as its files are.
//!
//! They are looked at, not watched: that costs two calls every few seconds, and sees what notifications miss, such as a
//! link changed higher up and network file systems.

use std::time::Duration;

use config::KeyPairError;
use protocol::error_chain::ErrorChain;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::key_pair::{KeyPair, Refreshed};
use crate::metrics::{ReloadLabels, ServerMetrics};

/// Renewals come days before the old certificate ends.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// Never returns. New connections get the new certificate; open ones keep what they have agreed on.
pub(super) async fn follow(pair: &KeyPair, metrics: &ServerMetrics) {
    let mut ticks = interval(LOOK_AGAIN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = None;
    loop {
        ticks.tick().await;
        let files = pair.clone();
        let Ok(found) = tokio::task::spawn_blocking(move || files.refresh()).await else {
            // The runtime is ending.
            continue;
        };
        note(pair, found, &mut said, metrics);
    }
}

/// Says and counts what is new. A bad pair is tried again at each look, but said once.
fn note(
    pair: &KeyPair,
    found: Result<Refreshed, KeyPairError>,
    said: &mut Option<String>,
    metrics: &ServerMetrics,
) {
    let result = match found {
        Ok(Refreshed::Unchanged) => {
            *said = None;
            return;
        }
        Ok(Refreshed::Replaced) => {
            *said = None;
            info!(cert = %pair.cert().display(), "a new TLS certificate is in use");
            "loaded"
        }
        Err(error) => {
            let error = ErrorChain(&error).to_string();
            if said.as_ref() == Some(&error) {
                return;
            }
            warn!(%error, "keeping the TLS certificate as it was");
            *said = Some(error);
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
            note(&pair, found, &mut said, &metrics);
            let counts = (counted(&metrics, "loaded"), counted(&metrics, "refused"));
            assert_eq!(counts, (loaded, refused));
        }
    }
}
