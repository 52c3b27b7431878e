//! `GetAuthorizationToken`, of ECR and of ECR Public, and what its failures mean.

use std::{
    error::Error,
    fmt,
    time::{Duration, SystemTime},
};

use aws_config::SdkConfig;
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use protocol::error_chain::ErrorChain;
use tokio::sync::OnceCell;

use super::{EcrKey, Service, chain};
use crate::auth::{sensitive, slot::Token};

/// How long a token is used where the answer gives no usable expiry (stand-ins answer with one long past).
const UNKNOWN_LIFE: Duration = Duration::from_hours(1);

/// Where tokens of one kind are had. Its client, and with it the credentials it has found, is made at the first call.
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

/// What both services answer with.
struct Granted {
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

    /// A new token, or a sentence that says what to do.
    pub(super) async fn token(&self) -> Result<Token, String> {
        let client = self.client.get_or_init(|| client(&self.key)).await;
        let granted = match client {
            Client::Private(client) => {
                let answer = client.get_authorization_token().send().await;
                let answer = answer.map_err(|error| self.explain(&error))?;
                let data = answer.authorization_data().first();
                Granted {
                    token: data.and_then(|data| data.authorization_token().map(str::to_owned)),
                    expires: data.and_then(|data| SystemTime::try_from(*data.expires_at()?).ok()),
                }
            }
            Client::Public(client) => {
                let answer = client.get_authorization_token().send().await;
                let answer = answer.map_err(|error| self.explain(&error))?;
                let data = answer.authorization_data();
                Granted {
                    token: data.and_then(|data| data.authorization_token().map(str::to_owned)),
                    expires: data.and_then(|data| SystemTime::try_from(*data.expires_at()?).ok()),
                }
            }
        };
        granted
            .token()
            .ok_or_else(|| format!("{self} gave no token"))
    }

    /// The client of private ECR's API.
    pub(super) async fn private(&self) -> Option<&aws_sdk_ecr::Client> {
        match self.client.get_or_init(|| client(&self.key)).await {
            Client::Private(client) => Some(client),
            Client::Public(_) => None,
        }
    }

    fn explain<E>(&self, error: &SdkError<E>) -> String
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let code = error.as_service_error().and_then(|error| error.code());
        let chain = ErrorChain(error);
        match code.unwrap_or_default() {
            "AccessDeniedException" | "AccessDenied" => {
                let lacking = match self.key.service {
                    Service::Private { .. } => "ecr:GetAuthorizationToken (on resource \"*\")",
                    Service::Public => {
                        "ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken"
                    }
                };
                format!("{self} is not permitted: the identity lacks {lacking}: {chain}")
            }
            "ExpiredTokenException" | "ExpiredToken" => {
                format!("{self} failed: the AWS credentials have expired: {chain}")
            }
            "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException" => {
                format!(
                    "{self} failed: the AWS credentials are not valid there, or this machine's clock is wrong: {chain}"
                )
            }
            _ => format!("{self} failed: {chain}"),
        }
    }
}

/// Names the call, for messages.
impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key.service {
            Service::Private { region, .. } => write!(f, "ecr:GetAuthorizationToken in {region}"),
            Service::Public => f.write_str("ecr-public:GetAuthorizationToken"),
        }?;
        match &self.key.role {
            Some(role) => write!(f, " as {}", role.arn),
            None => Ok(()),
        }
    }
}

impl Granted {
    fn token(self) -> Option<Token> {
        let token = self.token.filter(|token| !token.is_empty())?;
        // ECR's token is the base64 of `AWS:PASSWORD` already.
        let header = sensitive(&format!("Basic {token}"))?;
        let expires = self.expires;
        let life = expires.and_then(|expires| expires.duration_since(SystemTime::now()).ok());
        Some(Token::living(header, life.unwrap_or(UNKNOWN_LIFE)))
    }
}

async fn client(key: &EcrKey) -> Client {
    let shared: SdkConfig = chain::config(key.region(), key.role.as_ref()).await;
    match key.service {
        Service::Private { variant, .. } => {
            let mut config = aws_sdk_ecr::config::Builder::from(&shared);
            if let Some(endpoint) = &key.endpoint {
                config = config.endpoint_url(endpoint);
            } else {
                // Where the name says nothing the environment may (`AWS_USE_FIPS_ENDPOINT`, `AWS_USE_DUALSTACK_ENDPOINT`).
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
