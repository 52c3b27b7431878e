//! Why there is no usable login.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

use config::SecretError;
use protocol::host::Host;

/// Why there is no usable login. No variant holds anything that a credential helper printed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The configured password could not be read, and never has been.
    #[error("cannot read the configured password")]
    Password(#[source] SecretError),
    /// The configured password could not be read in time.
    #[error("the password file did not answer within {0:?}; check its file system")]
    PasswordTimeout(Duration),
    /// The configured password is no header text.
    #[error("the password holds characters that cannot be sent")]
    Unsendable,
    /// The registry wants a password, and there is only an identity token.
    #[error(
        "docker's config holds an identity token, but the registry wants a password: log in with one"
    )]
    PasswordWanted,
    /// Neither variable names the folder of docker's config.
    #[error("docker's config cannot be found: set DOCKER_CONFIG or HOME")]
    NoConfigFolder,
    /// The file is there, and cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not docker's config. The parser's message may repeat a secret, so only the place
    /// is named.
    #[error("{}:{line}:{column} is not docker's config", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line of the fault.
        line: usize,
        /// The column of the fault.
        column: usize,
    },
    /// The file has a login for the host that cannot be read.
    #[error("the login for {host} in {} cannot be read", path.display())]
    Entry {
        /// The host.
        host: Host,
        /// The file.
        path: PathBuf,
        /// The fault in the login.
        source: LoginEntryError,
    },
    /// A credential helper did not end in time.
    #[error("{program} did not answer within {after:?}")]
    HelperTimeout {
        /// The helper.
        program: String,
        /// The limit.
        after: Duration,
    },
    /// A credential helper could not be started.
    #[error("{program} cannot be run")]
    HelperStart {
        /// The helper.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// A credential helper failed.
    #[error("{program} failed for {name}: {status}")]
    HelperFailed {
        /// The helper.
        program: String,
        /// The name it was asked for.
        name: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A credential helper printed something other than a login.
    #[error("{program} answered with something other than a login")]
    HelperOutput {
        /// The helper.
        program: String,
    },
}

/// The fault in one entry of docker's `auths`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginEntryError {
    /// Its fields are not the texts that docker writes.
    #[error("a field is not a text")]
    NotText,
    /// `auth` is not base64.
    #[error("`auth` is not base64")]
    NotBase64,
    /// `auth` does not hold `NAME:PASSWORD`.
    #[error("`auth` has no colon")]
    NoColon,
}
