//! The login of an upstream: what is shown to a registry that wants a password, or to the realm that gives its tokens.

use std::{fmt, sync::Arc};

use config::Auth;
use http::HeaderValue;
use protocol::{error_chain::ErrorChain, host::Host};

use super::{
    basic, docker_config,
    ecr::{EcrKey, EcrTokens},
    secret::Secret,
    slot::TokenError,
};

/// What proves who we are.
#[derive(Clone, PartialEq)]
pub(super) enum Login {
    /// Name and password as `Authorization` has them.
    Basic(HeaderValue),
    /// docker's "identity token": an OAuth 2 refresh token, which only a realm takes.
    IdentityToken(Arc<str>),
}

/// Keeps the secret to itself.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic(_) => "Basic",
            Self::IdentityToken(_) => "IdentityToken",
        })
    }
}

/// Where the login comes from. It is read anew each time, so a changed one is used at once.
#[derive(Debug)]
pub(super) enum Source {
    Nobody,
    Password { username: String, password: Secret },
    DockerConfig,
    EcrPublic { key: EcrKey, tokens: Arc<EcrTokens> },
}

impl Source {
    /// The source for everything but private ECR, whose token is no login but the credential itself.
    pub(super) fn of(auth: &Auth, ecr: &Arc<EcrTokens>) -> Self {
        match auth {
            Auth::Anonymous | Auth::Ecr(_) => Self::Nobody,
            Auth::DockerConfig => Self::DockerConfig,
            Auth::Password { username, password } => Self::Password {
                username: username.clone(),
                password: Secret::new(password.clone()),
            },
            Auth::EcrPublic(auth) => Self::EcrPublic {
                key: EcrKey::of_public(auth),
                tokens: Arc::clone(ecr),
            },
        }
    }

    /// The login for `host`; `None` for nobody.
    pub(super) async fn login(&self, host: &Host) -> Result<Option<Login>, TokenError> {
        match self {
            Self::Nobody => Ok(None),
            Self::Password { username, password } => {
                let password = password
                    .reveal()
                    .map_err(|error| TokenError::Failed(ErrorChain(&error).to_string()))?;
                match basic(username, &password) {
                    Some(header) => Ok(Some(Login::Basic(header))),
                    None => Err(TokenError::Failed("the password cannot be sent".to_owned())),
                }
            }
            Self::DockerConfig => docker_config::login(host).await.map_err(TokenError::Failed),
            Self::EcrPublic { key, tokens } => Ok(Some(Login::Basic(tokens.current(key).await?))),
        }
    }

    /// A login other than the `refused` one, where there is such a thing and asking for it may help.
    pub(super) async fn another(&self, refused: &Login) -> Result<Option<Login>, TokenError> {
        let (Self::EcrPublic { key, tokens }, Login::Basic(refused)) = (self, refused) else {
            return Ok(None);
        };
        let renewed = tokens.renew(key, Some(refused)).await?;
        Ok(renewed
            .filter(|renewed| renewed != refused)
            .map(Login::Basic))
    }
}
