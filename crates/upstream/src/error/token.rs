//! Why no token could be obtained: from a realm, for a login, or from AWS.

use std::{error::Error, sync::Arc, time::Duration};

use login::LoginError;

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
