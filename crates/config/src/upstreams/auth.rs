//! `auth`: who Archway is towards an upstream.

mod raw;

use protocol::host::{EcrVariant, Host, HostPattern};
pub(super) use raw::RawAuth;
use serde_spanned::Spanned;
use url::Url;

use super::endpoint;
use crate::{
    error::{Problem, Problems},
    print::quoted,
    secret::Secret,
};

/// Who Archway is towards one upstream host.
#[derive(Debug, Clone, PartialEq)]
pub enum Auth {
    /// Nobody; a Bearer challenge is answered with an anonymous token.
    Anonymous,
    /// The identity the AWS SDK finds, for a private ECR registry.
    Ecr(EcrAuth),
    /// The identity the AWS SDK finds, signed in to ECR Public.
    EcrPublic(EcrPublicAuth),
    /// What docker's `config.json` and its credential helpers say for the host.
    DockerConfig,
    /// A name and a password, for Basic and for Bearer.
    Password {
        /// The name, sent as it is.
        username: String,
        /// The password or access token.
        password: Secret,
    },
}

/// How tokens for a private ECR registry are had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcrAuth {
    /// The ECR API, when it is not the region's own.
    pub endpoint: Option<Url>,
    /// The region whose API gives the token.
    pub region: String,
    /// Which of the region's APIs that is.
    pub variant: EcrVariant,
    /// Who to become before asking.
    pub role: Option<Role>,
}

/// How tokens for ECR Public are had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcrPublicAuth {
    /// The ECR Public API, when it is not Amazon's own.
    pub endpoint: Option<Url>,
    /// Who to become before asking.
    pub role: Option<Role>,
}

/// A role that is taken on (STS `AssumeRole`) with the identity the AWS SDK finds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Role {
    /// `arn:aws:iam::123456789012:role/NAME`.
    pub arn: String,
    /// What the role's owner wants to hear from third parties.
    pub external_id: Option<String>,
}

/// `Auth` before the host is known.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum AuthSetting {
    /// ECR's for a private ECR registry, else anonymous.
    #[default]
    Inferred,
    Anonymous,
    Ecr {
        endpoint: Option<Url>,
        /// `None` takes the one in the host's name.
        region: Option<String>,
        role: Option<Role>,
    },
    EcrPublic(EcrPublicAuth),
    DockerConfig,
    Password {
        username: String,
        password: Secret,
    },
}

impl AuthSetting {
    /// Who Archway is towards `host`; `None` when the setting has no meaning for it, as ECR without a region.
    pub(super) fn for_host(&self, host: &Host) -> Option<Auth> {
        let ecr = host.ecr();
        let variant = ecr.as_ref().map(|ecr| ecr.variant).unwrap_or_default();
        let ecr_region = ecr.map(|ecr| ecr.region);
        Some(match self {
            AuthSetting::Inferred => match ecr_region {
                Some(region) => Auth::Ecr(EcrAuth {
                    endpoint: None,
                    region,
                    variant,
                    role: None,
                }),
                None => Auth::Anonymous,
            },
            AuthSetting::Anonymous => Auth::Anonymous,
            AuthSetting::Ecr {
                endpoint,
                region,
                role,
            } => Auth::Ecr(EcrAuth {
                endpoint: endpoint.clone(),
                region: region.clone().or(ecr_region)?,
                variant,
                role: role.clone(),
            }),
            AuthSetting::EcrPublic(auth) => Auth::EcrPublic(auth.clone()),
            AuthSetting::DockerConfig => Auth::DockerConfig,
            AuthSetting::Password { username, password } => Auth::Password {
                username: username.clone(),
                password: password.clone(),
            },
        })
    }

    pub(super) fn resolve(
        raw: Spanned<RawAuth>,
        pattern: &HostPattern,
        problems: &mut Problems,
    ) -> AuthSetting {
        let span = raw.span();
        let setting = match raw.into_inner() {
            RawAuth::Word(Ok(setting)) => setting,
            RawAuth::Word(Err(wrong)) => {
                let problem = Problem::new(span, "`auth` is no known way to authenticate");
                // It may be a password: nobody knows what was meant.
                let problem = problem.secret(true).label(wrong.label);
                problems.add(problem.maybe_help(wrong.help));
                return AuthSetting::Inferred;
            }
            RawAuth::Table(table) => table.resolve(span.clone(), problems),
        };
        if matches!(setting, AuthSetting::Ecr { region: None, .. }) && !pattern.may_be_ecr() {
            let problem = Problem::new(
                span,
                format!("`auth` needs a region, `{pattern}` does not name one"),
            );
            let help = "write the region like this: auth = { ecr = { region = \"eu-west-1\" } }";
            problems.add(
                problem
                    .label("this is not the name of an ECR registry")
                    .help(help),
            );
        }
        setting
    }

    /// Whether it shows nothing of ours to any host of `pattern`.
    pub(super) fn is_nobody(&self, pattern: &HostPattern) -> bool {
        match self {
            AuthSetting::Inferred => !pattern.may_be_ecr(),
            AuthSetting::Anonymous => true,
            _ => false,
        }
    }

    /// The value of `pushed_at` beside it: no registry but private ECR has an API that says it.
    pub(super) fn pushed_at(
        &self,
        field: Option<Spanned<bool>>,
        pattern: &HostPattern,
        problems: &mut Problems,
    ) -> bool {
        let is_ecr = match self {
            AuthSetting::Inferred => pattern.may_be_ecr(),
            AuthSetting::Ecr { .. } => true,
            _ => false,
        };
        match field {
            Some(field) if *field.get_ref() && !is_ecr => {
                let problem = Problem::new(field.span(), "`pushed_at` is for private ECR")
                    .label("this upstream cannot say when an image was pushed");
                problems.add(problem.help("leave it out here, or set `auth` to \"ecr\""));
                false
            }
            Some(field) => field.into_inner(),
            None => false,
        }
    }

    /// TOML that reads back to this; `None` for what no key says.
    pub(super) fn toml(&self) -> Option<String> {
        let word = match self {
            AuthSetting::Inferred => return None,
            AuthSetting::Anonymous => "anonymous",
            AuthSetting::Ecr {
                endpoint: None,
                region: None,
                role: None,
            } => "ecr",
            AuthSetting::Ecr {
                endpoint,
                region,
                role,
            } => {
                let region = region.as_ref().map(|region| ("region", region.clone()));
                let keys = aws_keys(endpoint.as_ref(), role.as_ref()).chain(region);
                return Some(format!("{{ ecr = {} }}", inline_table(keys)));
            }
            AuthSetting::EcrPublic(EcrPublicAuth {
                endpoint: None,
                role: None,
            }) => "ecr-public",
            AuthSetting::EcrPublic(EcrPublicAuth { endpoint, role }) => {
                let keys = aws_keys(endpoint.as_ref(), role.as_ref());
                return Some(format!("{{ ecr_public = {} }}", inline_table(keys)));
            }
            AuthSetting::DockerConfig => "docker-config",
            AuthSetting::Password { username, password } => {
                let (key, value) = password.key();
                let keys = [("username", username.clone()), (key, value)];
                return Some(inline_table(keys));
            }
        };
        Some(quoted(word))
    }
}

fn aws_keys(
    endpoint: Option<&Url>,
    role: Option<&Role>,
) -> impl Iterator<Item = (&'static str, String)> {
    let endpoint = endpoint.map(|url| ("endpoint", endpoint::text(url)));
    let arn = role.map(|role| ("role_arn", role.arn.clone()));
    let external_id = role.and_then(|role| role.external_id.clone());
    let external_id = external_id.map(|id| ("external_id", id));
    endpoint.into_iter().chain(arn).chain(external_id)
}

fn inline_table(keys: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let pairs: Vec<_> = keys
        .into_iter()
        .map(|(key, value)| format!("{key} = {}", quoted(&value)))
        .collect();
    format!("{{ {} }}", pairs.join(", "))
}
