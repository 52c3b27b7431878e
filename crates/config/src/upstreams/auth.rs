//! `auth`: the credentials for an upstream.

mod setting;
mod words;

use protocol::host::EcrVariant;
pub(super) use setting::AuthSetting;
use url::Url;

use crate::secret::SecretSource;

/// The credentials for one upstream host.
#[derive(Clone, Debug, PartialEq)]
pub enum Auth {
    /// None; a Bearer challenge is answered with an anonymous token.
    Anonymous,
    /// The identity the AWS SDK finds, for a private ECR registry.
    Ecr(EcrAuth),
    /// The identity the AWS SDK finds, signed in to ECR Public.
    EcrPublic(EcrPublicAuth),
    /// The login that docker's `config.json` or its credential helpers have for the host.
    DockerConfig,
    /// A name and a password, for Basic and for Bearer.
    Password {
        /// The name, sent as it is.
        username: String,
        /// The place of the password or access token.
        password: SecretSource,
    },
}

/// How tokens for a private ECR registry are fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcrAuth {
    /// The ECR API, when it is not the region's own.
    pub endpoint: Option<Url>,
    /// The region whose API gives the token.
    pub region: String,
    /// Which of the region's APIs that is.
    pub variant: EcrVariant,
    /// The role to assume first.
    pub role: Option<Role>,
}

/// How tokens for ECR Public are fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EcrPublicAuth {
    /// The ECR Public API, when it is not Amazon's own.
    pub endpoint: Option<Url>,
    /// The role to assume first.
    pub role: Option<Role>,
}

/// A role that is assumed (STS `AssumeRole`) with the identity the AWS SDK finds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Role {
    /// `arn:aws:iam::123456789012:role/NAME`.
    pub arn: String,
    /// The id that the role's owner demands from third parties.
    pub external_id: Option<String>,
}
