//! Why no token could be obtained: from a realm, for a login, or from AWS.

use config::SecretError;
use std::{error::Error, io, path::PathBuf, process::ExitStatus, sync::Arc, time::Duration};

use protocol::host::Host;

use super::{circuit::CircuitOpen, http::HttpError};
use crate::redirect::ForbiddenHost;

/// Why no token could be obtained. Clones share their causes: all callers that wait for one renewal
/// get its error.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenError {
    /// The realm refused the login with this status.
    #[error("the token realm does not accept the login")]
    Refused(u16),
    /// The realm limits our requests; the time to wait.
    #[error("the token realm is limiting our requests")]
    Throttled(Duration),
    /// The realm failed before, and is not asked now.
    #[error(transparent)]
    CircuitOpen(CircuitOpen),
    /// The registry names a realm that is not asked.
    #[error("the token realm is not asked")]
    Rejected(#[source] RejectedRealm),
    /// The realm gave no token.
    #[error("the token realm gave no token")]
    Realm(#[source] Arc<RealmError>),
    /// There is no login to show.
    #[error("the login cannot be used")]
    Login(#[source] Arc<LoginError>),
    /// AWS gave no token.
    #[error("AWS gave no token")]
    Ecr(#[source] Arc<EcrError>),
}

impl From<LoginError> for TokenError {
    fn from(error: LoginError) -> Self {
        Self::Login(Arc::new(error))
    }
}

/// Why the realm that a registry names is not asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RejectedRealm {
    /// The name of the realm is no URL.
    #[error("it is not a URL")]
    NotUrl,
    /// A registry on https may name realms on https only.
    #[error("it is not on https")]
    NotHttps,
    /// The host of the realm is not allowed.
    #[error("its host is forbidden; add \"{name}\" to `private_hosts` of the upstream to allow it")]
    Host {
        /// The host of the realm.
        name: String,
        /// The rule against it.
        source: ForbiddenHost,
    },
}

/// How a realm failed to give a token.
#[derive(Debug, thiserror::Error)]
pub enum RealmError {
    /// The realm did not answer in time.
    #[error("the token realm did not answer within {0:?}")]
    Timeout(Duration),
    /// The connection failed, before the answer or during it.
    #[error("the token realm cannot be reached")]
    Unreachable(#[source] HttpError),
    /// The realm answered with another status than 200.
    #[error("the token realm answered {0}")]
    Status(u16),
    /// The answer is above its limit.
    #[error("the token realm's answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The answer is not the JSON of a token. Its text may hold a secret, and is not repeated.
    #[error("the token realm's answer is not a token")]
    NotToken,
    /// The answer is JSON without a token in it.
    #[error("the token realm's answer holds no token")]
    Empty,
}

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

/// Why AWS gave no token. `call` names the API, its region and the role.
#[derive(Debug, thiserror::Error)]
pub enum EcrError {
    /// The API, or the credential chain behind it, did not answer in time.
    #[error("{call} did not answer within {after:?}")]
    Timeout {
        /// The call.
        call: String,
        /// The limit.
        after: Duration,
    },
    /// The identity may not make the call.
    #[error("{call} is not permitted: the identity lacks {action}")]
    NotPermitted {
        /// The call.
        call: String,
        /// The IAM action to allow.
        action: &'static str,
        /// The SDK's error.
        source: SdkFailure,
    },
    /// The AWS credentials have expired.
    #[error("{call} failed: the AWS credentials have expired")]
    Expired {
        /// The call.
        call: String,
        /// The SDK's error.
        source: SdkFailure,
    },
    /// AWS does not accept the signature.
    #[error(
        "{call} failed: the AWS credentials are not valid there, or this machine's clock is wrong"
    )]
    Signature {
        /// The call.
        call: String,
        /// The SDK's error.
        source: SdkFailure,
    },
    /// No provider of credentials has any.
    #[error("no provider of AWS credentials has any")]
    NoCredentials {
        /// The SDK's error, with what was tried.
        source: SdkFailure,
    },
    /// Any other failure of the call.
    #[error("{call} failed")]
    Failed {
        /// The call.
        call: String,
        /// The SDK's error.
        source: SdkFailure,
    },
    /// The answer holds no token.
    #[error("{call} gave no token")]
    Empty {
        /// The call.
        call: String,
    },
}

/// An error of the AWS SDK, whose type differs from call to call.
pub type SdkFailure = Box<dyn Error + Send + Sync>;
