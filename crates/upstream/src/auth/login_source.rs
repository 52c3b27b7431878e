//! The login at an upstream, for a registry that wants a password and for the realm of its tokens.

use std::sync::Arc;

use config::Auth;
use login::{Login, LoginError, Secret, basic};
use protocol::host::Host;
use tally::UpstreamTally;

use super::ecr::{EcrKey, EcrTokens};
use crate::error::TokenError;

/// Where the login comes from. It is read each time, so a changed one is used at once.
#[derive(Debug)]
pub(super) enum LoginSource {
    Anonymous,
    Password {
        username: String,
        password: Secret,
    },
    DockerConfig,
    EcrPublic {
        key: EcrKey,
        tokens: Arc<EcrTokens>,
        tally: UpstreamTally,
    },
}

impl LoginSource {
    /// The source for all but private ECR, whose token is the credential itself and no login.
    pub(super) fn of(auth: &Auth, ecr: &Arc<EcrTokens>, tally: &UpstreamTally) -> Self {
        match auth {
            Auth::Anonymous | Auth::Ecr(_) => Self::Anonymous,
            Auth::DockerConfig => Self::DockerConfig,
            Auth::Password { username, password } => Self::Password {
                username: username.clone(),
                password: Secret::new(password.clone()),
            },
            Auth::EcrPublic(auth) => Self::EcrPublic {
                key: EcrKey::of_public(auth),
                tokens: Arc::clone(ecr),
                tally: tally.clone(),
            },
        }
    }

    /// The login for `host`; `None` if there is none.
    pub(super) async fn login(&self, host: &Host) -> Result<Option<Login>, TokenError> {
        match self {
            Self::Anonymous => Ok(None),
            Self::Password { username, password } => {
                let password = password.reveal().await?;
                match basic(username, &password) {
                    Some(header) => Ok(Some(Login::Basic(header))),
                    None => Err(LoginError::Unsendable.into()),
                }
            }
            Self::DockerConfig => Ok(login::of_docker(host).await?),
            Self::EcrPublic { key, tokens, tally } => {
                Ok(Some(Login::Basic(tokens.current(key, tally).await?)))
            }
        }
    }

    /// A login other than the `refused` one, if there can be one.
    pub(super) async fn another(&self, refused: &Login) -> Result<Option<Login>, TokenError> {
        let (Self::EcrPublic { key, tokens, tally }, Login::Basic(refused)) = (self, refused)
        else {
            return Ok(None);
        };
        let renewed = tokens.renew(key, Some(refused), tally).await?;
        Ok(renewed
            .filter(|renewed| renewed != refused)
            .map(Login::Basic))
    }
}
