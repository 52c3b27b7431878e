//! `GetAuthorizationToken` of ECR and of ECR Public, and the meaning of its failures.

use std::{
    error::Error,
    fmt, iter,
    time::{Duration, SystemTime},
};

use aws_config::SdkConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use login::sensitive;
use protocol::host::Host;
use tokio::sync::OnceCell;

use super::{EcrKey, Service, credential_chain};
use crate::{auth::token_slot::Token, error::EcrError};

/// The life of a token whose answer has no usable expiry (test servers answer with one long past).
const DEFAULT_TOKEN_LIFE: Duration = Duration::from_hours(1);

/// The API that issues the tokens of one key. Its client is made at the first call, and keeps the
/// credentials that it finds.
#[derive(Debug)]
pub(super) struct Api {
    key: EcrKey,
    client: OnceCell<Client>,
}

#[derive(Debug)]
enum Client {
    Private(aws_sdk_ecr::Client),
    Public(aws_sdk_ecrpublic::Client),
}

/// The answer of both services.
struct TokenGrant {
    token: Option<String>,
    expires: Option<SystemTime>,
}

impl Api {
    pub(super) fn new(key: EcrKey) -> Self {
        Self {
            key,
            client: OnceCell::new(),
        }
    }

    /// A new token.
    pub(super) async fn token(&self) -> Result<Token, EcrError> {
        let client = self.client.get_or_init(|| client(&self.key)).await;
        let granted = match client {
            Client::Private(client) => {
                let answer = client.get_authorization_token().send().await;
                let answer = answer.map_err(|error| self.failure(error))?;
                let data = answer.authorization_data().first();
                TokenGrant {
                    token: data.and_then(|data| data.authorization_token().map(str::to_owned)),
                    expires: data.and_then(|data| SystemTime::try_from(*data.expires_at()?).ok()),
                }
            }
            Client::Public(client) => {
                let answer = client.get_authorization_token().send().await;
                let answer = answer.map_err(|error| self.failure(error))?;
                let data = answer.authorization_data();
                TokenGrant {
                    token: data.and_then(|data| data.authorization_token().map(str::to_owned)),
                    expires: data.and_then(|data| SystemTime::try_from(*data.expires_at()?).ok()),
                }
            }
        };
        granted.token().ok_or_else(|| EcrError::Empty {
            call: self.to_string(),
        })
    }

    /// The registry of the identity's own account, which ECR names with each token.
    pub(super) async fn own_registry(&self) -> Result<Host, EcrError> {
        let unnamed = || EcrError::Empty {
            call: self.to_string(),
        };
        let client = self.private().await.ok_or_else(unnamed)?;
        let answer = client.get_authorization_token().send().await;
        let answer = answer.map_err(|error| self.failure(error))?;
        let data = answer.authorization_data().first();
        let url = data.and_then(|data| data.proxy_endpoint());
        let host = url.and_then(|url| url.split("://").last()?.parse().ok());
        host.ok_or_else(unnamed)
    }

    /// The client of private ECR's API; `None` for ECR Public.
    pub(super) async fn private(&self) -> Option<&aws_sdk_ecr::Client> {
        match self.client.get_or_init(|| client(&self.key)).await {
            Client::Private(client) => Some(client),
            Client::Public(_) => None,
        }
    }

    fn failure<E>(&self, error: SdkError<E>) -> EcrError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let call = self.to_string();
        let code = error.as_service_error().and_then(|error| error.code());
        match code.unwrap_or_default() {
            "AccessDeniedException" | "AccessDenied" => EcrError::NotPermitted {
                call,
                action: match self.key.service {
                    Service::Private { .. } => "ecr:GetAuthorizationToken (on resource \"*\")",
                    Service::Public => {
                        "ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken"
                    }
                },
                source: error.into(),
            },
            "ExpiredTokenException" | "ExpiredToken" => EcrError::Expired {
                call,
                source: error.into(),
            },
            "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException" => EcrError::Signature {
                call,
                source: error.into(),
            },
            _ if has_no_credentials(&error) => EcrError::NoCredentials {
                source: error.into(),
            },
            _ => EcrError::Failed {
                call,
                source: error.into(),
            },
        }
    }
}

/// The name of the call, for messages.
impl fmt::Display for Api {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key.service {
            Service::Private { region, .. } => {
                write!(formatter, "ecr:GetAuthorizationToken in {region}")
            }
            Service::Public => formatter.write_str("ecr-public:GetAuthorizationToken"),
        }?;
        match &self.key.role {
            Some(role) => write!(formatter, " as {}", role.arn),
            None => Ok(()),
        }
    }
}

impl TokenGrant {
    fn token(self) -> Option<Token> {
        let token = self.token.filter(|token| !token.is_empty())?;
        // ECR's token is the base64 of `AWS:PASSWORD` already.
        let header = sensitive(&format!("Basic {token}"))?;
        let expires = self.expires;
        let life = expires.and_then(|expires| expires.duration_since(SystemTime::now()).ok());
        Some(Token::new(header, life.unwrap_or(DEFAULT_TOKEN_LIFE)))
    }
}

/// Whether the call was not made, since no provider has credentials to sign it with.
fn has_no_credentials(error: &(dyn Error + 'static)) -> bool {
    let mut causes = iter::successors(Some(error), |cause| (*cause).source());
    causes.any(|cause| {
        matches!(
            cause.downcast_ref(),
            Some(CredentialsError::CredentialsNotLoaded(_))
        )
    })
}

async fn client(key: &EcrKey) -> Client {
    let shared: SdkConfig = credential_chain::config(key.region(), key.role.as_ref()).await;
    match key.service {
        Service::Private { variant, .. } => {
            let mut config = aws_sdk_ecr::config::Builder::from(&shared);
            if let Some(endpoint) = &key.endpoint {
                config = config.endpoint_url(endpoint);
            } else {
                // Never `false`: what the name leaves open, the environment decides
                // (`AWS_USE_FIPS_ENDPOINT`, `AWS_USE_DUALSTACK_ENDPOINT`).
                if variant.fips {
                    config = config.use_fips(true);
                }
                if variant.dual_stack {
                    config = config.use_dual_stack(true);
                }
            }
            Client::Private(aws_sdk_ecr::Client::from_conf(config.build()))
        }
        Service::Public => {
            let mut config = aws_sdk_ecrpublic::config::Builder::from(&shared);
            if let Some(endpoint) = &key.endpoint {
                config = config.endpoint_url(endpoint);
            }
            Client::Public(aws_sdk_ecrpublic::Client::from_conf(config.build()))
        }
    }
}
