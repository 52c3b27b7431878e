//! Places that keep a secret: a file, a systemd credential or an environment variable.
//!
//! The secret itself is never part of the configuration. Its user reads it, as often as it needs
//! the current one.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

/// Where systemd puts a unit's credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// The place of a secret, under the name of the key that leads to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum SecretSource {
    /// A file such as a mounted Kubernetes secret. It may change at any time.
    #[serde(rename = "password_file")]
    File(PathBuf),
    /// An environment variable of this process.
    #[serde(rename = "password_env")]
    Variable(String),
    /// A credential that systemd passes to the unit, by its name.
    #[serde(rename = "password_credential")]
    Credential(String),
}

/// Why a place yields no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read, or is not text.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It contains nothing but a line end.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The variable does not exist, is empty, or is not text.
    #[error("the environment variable {name} is not set")]
    Unset {
        /// The variable.
        name: String,
    },
    /// Archway was not started with credentials.
    #[error("${CREDENTIALS_DIRECTORY} is not set")]
    NoCredentials,
}

impl SecretSource {
    /// The secret as it is now, without the line end of its file.
    pub fn read(&self) -> Result<String, SecretError> {
        let Self::Variable(name) = self else {
            return read(&self.file().ok_or(SecretError::NoCredentials)?);
        };
        let value = env::var(name).ok().filter(|value| !value.is_empty());
        value.ok_or_else(|| SecretError::Unset { name: name.clone() })
    }

    /// The file that holds the secret; `None` for a variable, and for a credential that systemd
    /// has not passed.
    pub fn file(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::Credential(name) => {
                let folder = env::var_os(CREDENTIALS_DIRECTORY)?;
                Some(Path::new(&folder).join(name))
            }
            Self::Variable(_) => None,
        }
    }
}

fn read(path: &Path) -> Result<String, SecretError> {
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
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_not_set_is_refused() {
        let source = SecretSource::Variable("ARCHWAY_TEST_NO_SUCH_VARIABLE".to_owned());
        assert!(matches!(source.read(), Err(SecretError::Unset { .. })));
    }

    #[test]
    fn a_missing_or_empty_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let source = SecretSource::File(path.clone());
        assert!(matches!(source.read(), Err(SecretError::Read { .. })));
        fs::write(&path, "\r\n").unwrap();
        assert!(matches!(source.read(), Err(SecretError::Empty { .. })));
    }

    #[test]
    fn one_line_end_does_not_belong_to_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let source = SecretSource::File(path.clone());
        for (text, secret) in [
            ("first\n", "first"),
            ("other\r\n", "other"),
            (" spaces stay ", " spaces stay "),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(source.read().unwrap(), secret);
        }
    }
}
