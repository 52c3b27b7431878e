//! A password as its place has it now.

use std::{
    fmt, fs,
    sync::Arc,
    time::{Duration, SystemTime},
};

use config::{SecretError, SecretSource};
use parking_lot::Mutex;
use protocol::error_chain::ErrorChain;
use tokio::time::timeout;
use tracing::warn;

use crate::error::LoginError;

/// How long a password may take to be read: as long as a credential helper may run.
const READ_TIMEOUT: Duration = Duration::from_secs(8);

/// A secret and its place, such as a mounted Kubernetes secret.
///
/// `Debug` shows asterisks.
pub struct Secret(Arc<Place>);

/// The place of a secret, with its last good version.
struct Place {
    source: SecretSource,
    last: Mutex<Option<SecretVersion>>,
    /// Held while the file is read: one thread at most waits for a disk that hangs.
    reading: Arc<tokio::sync::Mutex<()>>,
}

/// The secret as it was when its file had this stamp.
struct SecretVersion {
    stamp: Option<FileStamp>,
    value: Arc<str>,
}

/// When a file was written, and its length.
type FileStamp = (SystemTime, u64);

impl Secret {
    /// The secret of this source. Nothing is read yet.
    pub fn new(source: SecretSource) -> Self {
        Self(Arc::new(Place {
            source,
            last: Mutex::new(None),
            reading: Arc::default(),
        }))
    }

    /// The secret, read again when its file has changed since the last call. While the file is
    /// missing, empty or unreadable, as between two versions of it, the last good value stays, with
    /// a warning in the log; an error means that there has not been a good one.
    ///
    /// Asks the file system for the file's time: call it where a token is renewed, not once a
    /// request. The file may be on a disk that hangs, so it is read on the blocking pool, and waited
    /// for no longer than 8 s; dropping the future does not end the read.
    pub async fn reveal(&self) -> Result<Arc<str>, LoginError> {
        let reading = async {
            let turn = Arc::clone(&self.0.reading).lock_owned().await;
            let place = Arc::clone(&self.0);
            let read = move || {
                let revealed = place.reveal();
                drop(turn);
                revealed
            };
            tokio::task::spawn_blocking(read).await
        };
        match timeout(READ_TIMEOUT, reading).await {
            Ok(Ok(revealed)) => revealed.map_err(LoginError::Password),
            Ok(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is ending, and this future with it.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => {
                let error = LoginError::PasswordTimeout(READ_TIMEOUT);
                self.0.last_good(&error).ok_or(error)
            }
        }
    }
}

impl Place {
    fn reveal(&self) -> Result<Arc<str>, SecretError> {
        let stamp = stamp(&self.source);
        if let Some(version) = &*self.last.lock()
            && version.stamp == stamp
        {
            return Ok(Arc::clone(&version.value));
        }
        match read(&self.source) {
            Ok(version) => {
                let value = Arc::clone(&version.value);
                *self.last.lock() = Some(version);
                Ok(value)
            }
            Err(error) => self.last_good(&error).ok_or(error),
        }
    }

    /// The last good version, with a warning that names the `reason` to use it.
    fn last_good(&self, reason: &(dyn std::error::Error + 'static)) -> Option<Arc<str>> {
        let value = Arc::clone(&self.last.lock().as_ref()?.value);
        warn!(error = %ErrorChain(reason), "cannot read the password; keeping the last good one");
        Some(value)
    }
}

/// The stamp is taken first: a change between the two steps is then seen again, not missed.
fn read(source: &SecretSource) -> Result<SecretVersion, SecretError> {
    let stamp = stamp(source);
    let value = source.read()?.into();
    Ok(SecretVersion { stamp, value })
}

/// A variable has none: it stays as it is.
fn stamp(source: &SecretSource) -> Option<FileStamp> {
    let metadata = fs::metadata(source.file()?).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn rewrite(path: &Path, text: &str, seconds: u64) {
        fs::write(path, text).unwrap();
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(time)
            .unwrap();
    }

    #[tokio::test]
    async fn a_changed_file_is_read_again_and_a_lost_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        rewrite(&path, "first\n", 1);
        let secret = Secret::new(SecretSource::File(path.clone()));
        assert_eq!(&*secret.reveal().await.unwrap(), "first");
        rewrite(&path, "other\r\n", 2);
        assert_eq!(&*secret.reveal().await.unwrap(), "other");
        rewrite(&path, "\n", 3);
        assert_eq!(&*secret.reveal().await.unwrap(), "other");
        fs::remove_file(&path).unwrap();
        assert_eq!(&*secret.reveal().await.unwrap(), "other");
        rewrite(&path, " spaces stay ", 4);
        assert_eq!(&*secret.reveal().await.unwrap(), " spaces stay ");
    }

    #[tokio::test]
    async fn a_file_that_comes_late_is_read_and_a_missing_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let secret = Secret::new(SecretSource::File(path.clone()));
        assert!(matches!(
            secret.reveal().await,
            Err(LoginError::Password(SecretError::Read { .. }))
        ));
        rewrite(&path, "first\n", 1);
        assert_eq!(&*secret.reveal().await.unwrap(), "first");
    }

    #[test]
    fn a_secret_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, "hunter2").unwrap();
        let secret = Secret::new(SecretSource::File(path));
        assert_eq!(format!("{secret:?}"), "***");
    }
}
