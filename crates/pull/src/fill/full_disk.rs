//! What the log says of a disk that takes no blobs: a line when that begins, one a minute while it
//! lasts, and one when a blob is stored again. Each refused blob would be a line for each layer of
//! each pull.

use std::{sync::Arc, time::Duration};

use cache::FillError;
use parking_lot::Mutex;
use protocol::error_chain::ErrorChain;
use tokio::time::Instant;
use tracing::{info, warn};

/// How often it is told while it lasts.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// Whether the disk takes blobs, as of the last one.
#[derive(Debug, Default)]
pub(crate) struct FullDisk(Mutex<Option<Refusing>>);

/// The time in which it takes none.
#[derive(Clone, Debug)]
struct Refusing {
    since: Instant,
    told: Instant,
    /// Blobs that went past the cache and were not told of.
    untold: u64,
    /// The last refusal.
    error: String,
}

impl FullDisk {
    /// A blob could not be stored.
    pub(super) fn refused(&self, error: &Arc<FillError>) {
        let error = ErrorChain(error).to_string();
        if let Some(blobs) = self.tells(&error, Instant::now()) {
            warn!(
                error,
                blobs,
                "the disk takes no blobs: they go from the upstream to clients, and are not stored"
            );
        }
    }

    /// A blob was stored.
    pub(super) fn stored(&self) {
        let spell = self.0.lock().take();
        if let Some(spell) = spell {
            let seconds = spell.since.elapsed().as_secs();
            info!(seconds, "the disk takes blobs again");
        }
    }

    /// What there is to say of it now: nothing while blobs are stored.
    pub(crate) fn status(&self) -> Option<String> {
        let spell = self.0.lock().clone()?;
        let seconds = spell.since.elapsed().as_secs();
        let error = spell.error;
        Some(format!("no blob has been stored for {seconds} s: {error}"))
    }

    /// Notes a refusal. If it is to be told, the blobs since the last time.
    fn tells(&self, error: &str, now: Instant) -> Option<u64> {
        let mut spell = self.0.lock();
        let Some(spell) = &mut *spell else {
            *spell = Some(Refusing {
                since: now,
                told: now,
                untold: 0,
                error: error.to_owned(),
            });
            return Some(1);
        };
        error.clone_into(&mut spell.error);
        spell.untold += 1;
        if now.duration_since(spell.told) < TELL_EVERY {
            return None;
        }
        spell.told = now;
        Some(std::mem::take(&mut spell.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_at_first_and_once_a_minute_with_the_blobs_it_did_not_take() {
        let (disk, began) = (FullDisk::default(), Instant::now());
        let after = |seconds| disk.tells("full", began + Duration::from_secs(seconds));
        assert_eq!(after(0), Some(1));
        assert_eq!(after(1), None);
        assert_eq!(after(59), None);
        assert_eq!(after(60), Some(3));
        assert_eq!(after(61), None);
        assert!(disk.status().is_some_and(|said| said.ends_with(": full")));
        disk.stored();
        assert_eq!(disk.status(), None);
        assert_eq!(after(62), Some(1), "another time");
    }
}
