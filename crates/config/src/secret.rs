//! Secrets: read from a file, a systemd credential or the environment, never shown.

use std::{
    env, fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

/// Where systemd puts a unit's credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// A secret and where it is kept, such as a mounted Kubernetes secret. A clone is a cheap handle to the same secret.
///
/// `Debug` shows asterisks; two secrets are equal when they come from the same place.
#[derive(Clone)]
pub struct Secret(Arc<Inner>);

struct Inner {
    place: Place,
    last: Mutex<Version>,
}

/// Where a secret is kept, by the name it has in the configuration.
#[derive(Clone, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    Variable(String),
    Credential { name: String, path: PathBuf },
}

/// The secret as it was when the file had this stamp.
struct Version {
    stamp: Option<(SystemTime, u64)>,
    value: Arc<str>,
}

/// Why a place yields no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read, or is not text.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It has nothing in it but a line end.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// There is no such variable, it is empty, or it is not text.
    #[error("the environment variable {name} is not set")]
    Unset {
        /// The variable.
        name: String,
    },
    /// Archway was not started with credentials.
    #[error("${CREDENTIALS_DIRECTORY} is not set")]
    NoCredentials,
}

impl Secret {
    /// Reads the file for the first time.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Secret, SecretError> {
        let path = path.into();
        let last = read(&path)?;
        Ok(Secret::new(Place::File(path), last))
    }

    /// Reads a credential that systemd passes to the unit.
    pub fn from_credential(name: String) -> Result<Secret, SecretError> {
        let folder = env::var_os(CREDENTIALS_DIRECTORY).ok_or(SecretError::NoCredentials)?;
        let path = Path::new(&folder).join(&name);
        let last = read(&path)?;
        Ok(Secret::new(Place::Credential { name, path }, last))
    }

    /// Takes an environment variable as it is now.
    pub fn from_variable(name: String) -> Result<Secret, SecretError> {
        let value = env::var(&name).ok().filter(|value| !value.is_empty());
        let Some(value) = value else {
            return Err(SecretError::Unset { name });
        };
        let last = Version {
            stamp: None,
            value: value.into(),
        };
        Ok(Secret::new(Place::Variable(name), last))
    }

    fn new(place: Place, last: Version) -> Secret {
        let last = Mutex::new(last);
        Secret(Arc::new(Inner { place, last }))
    }

    /// The key of the configuration and its value that lead to this secret again.
    pub fn key(&self) -> (&'static str, String) {
        match &self.0.place {
            Place::File(path) => ("password_file", path.to_string_lossy().into_owned()),
            Place::Variable(name) => ("password_env", name.clone()),
            Place::Credential { name, .. } => ("password_credential", name.clone()),
        }
    }

    /// The secret, read anew when its file has changed since the last call. While the file is missing, empty or
    /// unreadable, as between two versions of it, the last good value stays, with a warning in the log.
    ///
    /// Asks the file system for the file's time; call it where a token is renewed, not once a request.
    pub fn reveal(&self) -> Arc<str> {
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        let path = match &self.0.place {
            Place::File(path) | Place::Credential { path, .. } => path,
            Place::Variable(_) => return Arc::clone(&last.value),
        };
        if stamp(path) != last.stamp {
            match read(path) {
                Ok(version) => *last = version,
                Err(error) => tracing::warn!(%error, "keeping the secret as it was"),
            }
        }
        Arc::clone(&last.value)
    }
}

/// The stamp is taken first: a change between the two steps is then seen again, not missed.
fn read(path: &Path) -> Result<Version, SecretError> {
    let stamp = stamp(path);
    let text = fs::read_to_string(path).map_err(|source| SecretError::Read {
        path: path.to_owned(),
        source,
    })?;
    let value = text.strip_suffix('\n').unwrap_or(&text);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() {
        return Err(SecretError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(Version {
        stamp,
        value: value.into(),
    })
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.place == other.0.place
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_changed_file_is_read_again_and_a_lost_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        rewrite(&path, "first\n", 1);
        let secret = Secret::from_file(&path).unwrap();
        assert_eq!(&*secret.reveal(), "first");
        rewrite(&path, "other\r\n", 2);
        assert_eq!(&*secret.reveal(), "other");
        rewrite(&path, "\n", 3);
        assert_eq!(&*secret.reveal(), "other");
        fs::remove_file(&path).unwrap();
        assert_eq!(&*secret.reveal(), "other");
        rewrite(&path, " spaces stay ", 4);
        assert_eq!(&*secret.reveal(), " spaces stay ");
    }

    #[test]
    fn a_secret_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, "hunter2").unwrap();
        assert_eq!(format!("{:?}", Secret::from_file(path).unwrap()), "***");
    }

    #[test]
    fn a_variable_that_is_not_set_is_refused() {
        let name = "ARCHWAY_TEST_NO_SUCH_VARIABLE".to_owned();
        assert!(matches!(
            Secret::from_variable(name),
            Err(SecretError::Unset { .. })
        ));
    }

    #[test]
    fn a_missing_or_empty_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        assert!(matches!(
            Secret::from_file(&path),
            Err(SecretError::Read { .. })
        ));
        fs::write(&path, "\r\n").unwrap();
        assert!(matches!(
            Secret::from_file(&path),
            Err(SecretError::Empty { .. })
        ));
    }
}
