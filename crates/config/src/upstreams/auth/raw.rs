//! `auth` as the file has it: a word, a login, or ECR's settings.

mod words;

use std::{error::Error, fmt, ops::Range, path::PathBuf};

use serde::{
    Deserialize,
    de::{Deserializer, IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_spanned::Spanned;
use url::Url;
use words::{CredentialName, ExternalId, Region, RoleArn, Username, Variable};

use super::{AuthSetting, EcrPublicAuth, Role};
use crate::{
    error::{Problem, Problems},
    field::{Field, Meaning, Wrong},
    secret::{Secret, SecretError},
    suggest,
    upstreams::endpoint::Endpoint,
};

/// A word or a table.
#[derive(Debug)]
pub(in super::super) enum RawAuth {
    Word(Result<AuthSetting, Wrong>),
    Table(Box<RawAuthTable>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct RawAuthTable {
    username: Option<Field<Username>>,
    /// Not a key: caught to say where a password belongs, and not to show it.
    password: Option<Spanned<IgnoredAny>>,
    password_file: Option<Field<PathBuf>>,
    password_env: Option<Field<Variable>>,
    password_credential: Option<Field<CredentialName>>,
    ecr: Option<RawEcr>,
    ecr_public: Option<RawEcrPublic>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a table such as { region = \"eu-west-1\" }"
)]
pub(in super::super) struct RawEcr {
    endpoint: Option<Field<Endpoint>>,
    region: Option<Field<Region>>,
    role_arn: Option<Field<RoleArn>>,
    external_id: Option<Field<ExternalId>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a table such as { role_arn = \"arn:aws:iam::123456789012:role/pull\" }"
)]
pub(in super::super) struct RawEcrPublic {
    endpoint: Option<Field<Endpoint>>,
    role_arn: Option<Field<RoleArn>>,
    external_id: Option<Field<ExternalId>>,
}

const INCOMPLETE: &str = "write { username = \"me\", password_file = \"/run/secrets/hub\" } or { ecr = { region = \"eu-west-1\" } }";

impl RawAuthTable {
    pub(super) fn resolve(self, span: Range<usize>, problems: &mut Problems) -> AuthSetting {
        if let Some(password) = self.password {
            let problem = Problem::new(password.span(), "a password does not stand in the file")
                .label("here it could be read by anyone who may read the configuration");
            let help = "use `password_file`, `password_env` or `password_credential`";
            problems.add(problem.help(help).secret(true));
            return AuthSetting::Inferred;
        }
        let sources = [
            self.password_file
                .map(|field| password(field, "password_file", problems)),
            self.password_env
                .map(|field| password(field, "password_env", problems)),
            self.password_credential
                .map(|field| password(field, "password_credential", problems)),
        ];
        let mut passwords: Vec<_> = sources.into_iter().flatten().collect();
        match (self.ecr, self.ecr_public, self.username, passwords.len()) {
            (Some(ecr), None, None, 0) => ecr.resolve(problems),
            (None, Some(ecr), None, 0) => ecr.resolve(problems),
            (None, None, Some(username), 1) => {
                let username = username.take("username", problems);
                let password = passwords.pop().flatten();
                username
                    .zip(password)
                    .map_or_else(AuthSetting::default, |(Username(username), password)| {
                        AuthSetting::Password { username, password }
                    })
            }
            (None, None, Some(_), 2..) => {
                let problem = Problem::new(span, "`auth` has more than one password");
                problems.add(
                    problem.label("which one is meant?").help(
                        "keep one of `password_file`, `password_env` and `password_credential`",
                    ),
                );
                AuthSetting::Inferred
            }
            _ => {
                let problem = Problem::new(span, "`auth` is incomplete");
                problems.add(problem.label("neither a login nor ECR").help(INCOMPLETE));
                AuthSetting::Inferred
            }
        }
    }
}

impl RawEcr {
    fn resolve(self, problems: &mut Problems) -> AuthSetting {
        AuthSetting::Ecr {
            endpoint: url(self.endpoint, problems),
            region: self
                .region
                .and_then(|field| field.take("region", problems))
                .map(|Region(region)| region),
            role: role(self.role_arn, self.external_id, problems),
        }
    }
}

impl RawEcrPublic {
    fn resolve(self, problems: &mut Problems) -> AuthSetting {
        AuthSetting::EcrPublic(EcrPublicAuth {
            endpoint: url(self.endpoint, problems),
            role: role(self.role_arn, self.external_id, problems),
        })
    }
}

fn url(field: Option<Field<Endpoint>>, problems: &mut Problems) -> Option<Url> {
    let Endpoint(url) = field?.take("endpoint", problems)?;
    Some(url)
}

fn role(
    arn: Option<Field<RoleArn>>,
    external_id: Option<Field<ExternalId>>,
    problems: &mut Problems,
) -> Option<Role> {
    if arn.is_none()
        && let Some(id) = &external_id
    {
        let problem = Problem::new(id.span.clone(), "`external_id` needs a role")
            .label("there is no `role_arn` beside it");
        problems.add(problem.help("an external id is what a role in another account asks for"));
    }
    let external_id = external_id.and_then(|field| field.take("external_id", problems));
    let RoleArn(arn) = arn?.take("role_arn", problems)?;
    Some(Role {
        arn,
        external_id: external_id.map(|ExternalId(id)| id),
    })
}

/// A place a secret can be read from.
trait SecretSource: Meaning {
    /// What has to be there, for the help below a mistake.
    const HELP: &'static str;

    fn open(self) -> Result<Secret, SecretError>;
}

impl SecretSource for PathBuf {
    const HELP: &'static str = "the file has the password and nothing else; a line end is ignored";

    fn open(self) -> Result<Secret, SecretError> {
        Secret::from_file(self)
    }
}

impl SecretSource for Variable {
    const HELP: &'static str =
        "the variable has the password and nothing else; it is read at start";

    fn open(self) -> Result<Secret, SecretError> {
        Secret::from_variable(self.0)
    }
}

impl SecretSource for CredentialName {
    const HELP: &'static str = "systemd sets $CREDENTIALS_DIRECTORY for a unit with LoadCredential= or LoadCredentialEncrypted=";

    fn open(self) -> Result<Secret, SecretError> {
        Secret::from_credential(self.0)
    }
}

fn password<T: SecretSource>(
    field: Field<T>,
    key: &str,
    problems: &mut Problems,
) -> Option<Secret> {
    let span = field.span.clone();
    let error = match field.take(key, problems)?.open() {
        Ok(secret) => return Some(secret),
        Err(error) => error,
    };
    let reason = error
        .source()
        .map_or_else(String::new, |reason| format!(": {reason}"));
    let problem = Problem::new(span, format!("`{key}` holds no password"));
    problems.add(problem.label(format!("{error}{reason}")).help(T::HELP));
    None
}

impl<'de> Deserialize<'de> for RawAuth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AuthVisitor;
        impl<'de> Visitor<'de> for AuthVisitor {
            type Value = RawAuth;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word such as \"ecr\" or a table such as { username = \"me\", password_file = \"...\" }")
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                let known = [
                    ("anonymous", AuthSetting::Anonymous),
                    ("docker-config", AuthSetting::DockerConfig),
                    (
                        "ecr",
                        AuthSetting::Ecr {
                            endpoint: None,
                            region: None,
                            role: None,
                        },
                    ),
                    (
                        "ecr-public",
                        AuthSetting::EcrPublic(EcrPublicAuth {
                            endpoint: None,
                            role: None,
                        }),
                    ),
                ];
                Ok(RawAuth::Word(suggest::word(text, known)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let table = RawAuthTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(RawAuth::Table(Box::new(table)))
            }
        }
        deserializer.deserialize_any(AuthVisitor)
    }
}
