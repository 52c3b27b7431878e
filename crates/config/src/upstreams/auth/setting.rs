//! `auth` of a table: a word, a login, or ECR's settings, before the host is known.

use std::{ops::Range, path::PathBuf};

use protocol::host::{Host, HostPattern};
use serde::{Serialize, Serializer};
use url::Url;

use super::{
    Auth, EcrAuth, EcrPublicAuth, Role,
    words::{CredentialName, ExternalId, Region, RoleArn, Username, Variable},
};
use crate::{
    named_files,
    problem::Problem,
    secret::SecretSource,
    suggest,
    table::{PASSWORD, Table, Value},
    upstreams::endpoint::{self, Endpoint},
};

const EXPECTED: &str =
    "a word such as \"ecr\" or a table such as { username = \"me\", password_file = \"...\" }";
const INCOMPLETE: &str = "write { username = \"me\", password_file = \"/run/secrets/hub\" } or { ecr = { region = \"eu-west-1\" } }";

/// `Auth` before the host is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::upstreams) enum AuthSetting {
    /// ECR's for a private ECR registry, else anonymous.
    #[default]
    Inferred,
    Anonymous,
    Ecr(EcrSetting),
    EcrPublic(EcrPublicAuth),
    DockerConfig,
    Password {
        username: String,
        password: SecretSource,
    },
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::upstreams) struct EcrSetting {
    endpoint: Option<Url>,
    /// `None` is the one in the host's name.
    region: Option<String>,
    role: Option<Role>,
}

impl AuthSetting {
    pub(in crate::upstreams) fn read(table: &mut Table<'_>, pattern: &HostPattern) -> Self {
        let Some(value) = table.value("auth") else {
            return Self::Inferred;
        };
        let span = value.span.clone();
        let mistakes = table.problems.count();
        let setting = if let Some(word) = value.as_str() {
            Self::of_word(word, span.clone(), table)
        } else {
            let place = span.clone();
            let setting = value.table(EXPECTED, |table| Self::of_table(table, place));
            setting.unwrap_or_default()
        };
        if let Self::Ecr(EcrSetting { region: None, .. }) = setting
            && !pattern.may_be_ecr()
            // A misspelt key may be the region.
            && table.problems.count() == mistakes
        {
            let title = format!("`auth` needs a region, `{pattern}` does not name one");
            let problem = Problem::new(span, title)
                .label("this is not the name of an ECR registry")
                .help("write the region like this: auth = { ecr = { region = \"eu-west-1\" } }");
            table.problems.add(problem);
        }
        setting
    }

    fn of_word(word: &str, span: Range<usize>, table: &Table<'_>) -> Self {
        let known = [
            ("anonymous", Self::Anonymous),
            ("docker-config", Self::DockerConfig),
            ("ecr", Self::Ecr(EcrSetting::default())),
            ("ecr-public", Self::EcrPublic(EcrPublicAuth::default())),
        ];
        suggest::word(word, known).unwrap_or_else(|wrong| {
            // It may be a password.
            table.problems.hide(span.clone());
            let problem = Problem::new(span, "`auth` is not a known way to authenticate");
            let help = wrong.help.unwrap_or_else(|| INCOMPLETE.to_owned());
            table.problems.add(problem.label(wrong.label).help(help));
            Self::Inferred
        })
    }

    fn of_table(table: &mut Table<'_>, span: Range<usize>) -> Self {
        let username = table.value("username");
        let has_username = username.is_some();
        let username = username.and_then(|name| name.read::<Username>("username"));
        let in_file = table.unlisted(PASSWORD);
        let passwords = passwords(table);
        let ecr = table.value("ecr");
        let ecr_public = table.value("ecr_public");
        if let Some(password) = in_file {
            let problem =
                Problem::new(password.span.clone(), "a password must not be in this file")
                    .label("everybody who may read the configuration could read it")
                    .help("use `password_file`, `password_env` or `password_credential`");
            table.problems.add(problem);
            table.problems.hide(password.span.clone());
            password.hide();
            hide([ecr, ecr_public]);
            return Self::Inferred;
        }
        let problem = match (ecr, ecr_public, has_username, passwords.as_slice()) {
            (Some(ecr), None, false, []) => return EcrSetting::read(ecr),
            (None, Some(ecr), false, []) => return read_ecr_public(ecr),
            (None, None, true, [password]) => {
                return username.zip(password.clone()).map_or_else(
                    Self::default,
                    |(username, password)| {
                        named_files::password(&password.0, password.1, table.problems);
                        Self::Password {
                            username: username.into_inner().0,
                            password: password.0,
                        }
                    },
                );
            }
            (None, None, true, [_, _, ..]) => {
                Problem::new(span, "`auth` has more than one password")
                    .label("only one of them can be used")
                    .help("keep one of `password_file`, `password_env` and `password_credential`")
            }
            (ecr, ecr_public, ..) => {
                hide([ecr, ecr_public]);
                Problem::new(span, "`auth` is incomplete")
                    .label("neither a login nor ECR")
                    .help(INCOMPLETE)
            }
        };
        table.problems.add(problem);
        Self::Inferred
    }

    /// The credentials for `host`; `None` when the setting has no meaning for it, as ECR without a
    /// region.
    pub(in crate::upstreams) fn for_host(&self, host: &Host) -> Option<Auth> {
        let ecr = host.ecr();
        let variant = ecr.as_ref().map(|ecr| ecr.variant).unwrap_or_default();
        let ecr_region = ecr.map(|ecr| ecr.region);
        Some(match self {
            Self::Inferred => match ecr_region {
                Some(region) => Auth::Ecr(EcrAuth {
                    endpoint: None,
                    region,
                    variant,
                    role: None,
                }),
                None => Auth::Anonymous,
            },
            Self::Anonymous => Auth::Anonymous,
            Self::Ecr(ecr) => Auth::Ecr(EcrAuth {
                endpoint: ecr.endpoint.clone(),
                region: ecr.region.clone().or(ecr_region)?,
                variant,
                role: ecr.role.clone(),
            }),
            Self::EcrPublic(auth) => Auth::EcrPublic(auth.clone()),
            Self::DockerConfig => Auth::DockerConfig,
            Self::Password { username, password } => Auth::Password {
                username: username.clone(),
                password: password.clone(),
            },
        })
    }

    /// Whether the file leaves it to the name of the host.
    pub(in crate::upstreams) fn is_inferred(&self) -> bool {
        *self == Self::Inferred
    }

    /// Whether it shows nothing of ours to any host of `pattern`.
    pub(in crate::upstreams) fn is_nobody(&self, pattern: &HostPattern) -> bool {
        match self {
            Self::Inferred => !pattern.may_be_ecr(),
            Self::Anonymous => true,
            _ => false,
        }
    }

    /// The identity that hosts of `pattern` see, for people and without its secret; `None` if they
    /// see none.
    pub(in crate::upstreams) fn identity(&self, pattern: &HostPattern) -> Option<String> {
        let role = match self {
            _ if self.is_nobody(pattern) => return None,
            Self::Password { username, .. } => return Some(format!("the user {username}")),
            Self::DockerConfig => return Some("the login of docker's config.json".to_owned()),
            Self::Ecr(EcrSetting { role, .. }) => role.as_ref(),
            Self::EcrPublic(ecr) => ecr.role.as_ref(),
            Self::Inferred | Self::Anonymous => None,
        };
        Some(role.map_or_else(
            || "the AWS identity of this process".to_owned(),
            |role| format!("the role {}", role.arn),
        ))
    }

    /// `pushed_at` beside it: only private ECR has an API that knows it.
    pub(in crate::upstreams) fn read_pushed_at(
        &self,
        table: &mut Table<'_>,
        pattern: &HostPattern,
    ) -> bool {
        let is_ecr = match self {
            Self::Inferred => pattern.may_be_ecr(),
            Self::Ecr(_) => true,
            _ => false,
        };
        let Some(flag) = table.spanned_flag("pushed_at") else {
            return false;
        };
        if *flag.get_ref() && !is_ecr {
            let problem = Problem::new(flag.span(), "`pushed_at` is for private ECR")
                .label("this upstream cannot tell when an image was pushed")
                .help("remove it here, or set `auth` to \"ecr\"");
            table.problems.add(problem);
            return false;
        }
        flag.into_inner()
    }
}

/// Each password that is named; `None` where its place cannot be read.
fn passwords(table: &mut Table<'_>) -> Vec<Option<(SecretSource, Range<usize>)>> {
    let file = table.value("password_file").map(|value| {
        let span = value.span.clone();
        let path: PathBuf = value.read("password_file")?.into_inner();
        Some((SecretSource::File(path), span))
    });
    let variable = table.value("password_env").map(|value| {
        let span = value.span.clone();
        let Variable(name) = value.read("password_env")?.into_inner();
        Some((SecretSource::Variable(name), span))
    });
    let credential = table.value("password_credential").map(|value| {
        let span = value.span.clone();
        let CredentialName(name) = value.read("password_credential")?.into_inner();
        Some((SecretSource::Credential(name), span))
    });
    [file, variable, credential].into_iter().flatten().collect()
}

impl EcrSetting {
    fn read(value: Value<'_>) -> AuthSetting {
        let expected = "a table such as { region = \"eu-west-1\" }";
        let setting = value.table(expected, |table| {
            AuthSetting::Ecr(Self {
                endpoint: table.take("endpoint").map(|Endpoint(url)| url),
                region: table.take("region").map(|Region(region)| region),
                role: read_role(table),
            })
        });
        setting.unwrap_or_default()
    }
}

/// Keeps values that are not read out of every report: a password may have ended up in them.
fn hide(unread: [Option<Value<'_>>; 2]) {
    unread.into_iter().flatten().for_each(Value::hide);
}

fn read_ecr_public(value: Value<'_>) -> AuthSetting {
    let expected = "a table such as { role_arn = \"arn:aws:iam::123456789012:role/pull\" }";
    let setting = value.table(expected, |table| {
        AuthSetting::EcrPublic(EcrPublicAuth {
            endpoint: table.take("endpoint").map(|Endpoint(url)| url),
            role: read_role(table),
        })
    });
    setting.unwrap_or_default()
}

fn read_role(table: &mut Table<'_>) -> Option<Role> {
    let arn = table.value("role_arn");
    let external_id = table.value("external_id");
    if arn.is_none()
        && let Some(id) = &external_id
    {
        let problem = Problem::new(id.span.clone(), "`external_id` needs a role")
            .label("there is no `role_arn` beside it")
            .help("add `role_arn`: a role in another account demands the external id");
        table.problems.add(problem);
    }
    let external_id = external_id.and_then(|id| id.read("external_id"));
    let RoleArn(arn) = arn?.read("role_arn")?.into_inner();
    Some(Role {
        arn,
        external_id: external_id.map(|id| {
            let ExternalId(id) = id.into_inner();
            id
        }),
    })
}

/// `auth` as the file has it, where it is a table.
#[derive(Serialize)]
struct ShownAuth<'a> {
    username: Option<&'a str>,
    #[serde(flatten)]
    password: Option<&'a SecretSource>,
    ecr: Option<ShownEcr<'a>>,
    ecr_public: Option<ShownEcr<'a>>,
}

#[derive(Default, Serialize)]
struct ShownEcr<'a> {
    endpoint: Option<String>,
    role_arn: Option<&'a str>,
    external_id: Option<&'a str>,
    region: Option<&'a str>,
}

impl<'a> ShownEcr<'a> {
    fn new(endpoint: Option<&Url>, role: Option<&'a Role>, region: Option<&'a str>) -> Self {
        Self {
            endpoint: endpoint.map(endpoint::text),
            role_arn: role.map(|role| role.arn.as_str()),
            external_id: role.and_then(|role| role.external_id.as_deref()),
            region,
        }
    }
}

impl Serialize for AuthSetting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shown = ShownAuth {
            username: None,
            password: None,
            ecr: None,
            ecr_public: None,
        };
        match self {
            Self::Inferred => return serializer.serialize_none(),
            Self::Anonymous => return serializer.serialize_str("anonymous"),
            Self::DockerConfig => return serializer.serialize_str("docker-config"),
            Self::Ecr(ecr) if *ecr == EcrSetting::default() => {
                return serializer.serialize_str("ecr");
            }
            Self::EcrPublic(ecr) if *ecr == EcrPublicAuth::default() => {
                return serializer.serialize_str("ecr-public");
            }
            Self::Ecr(ecr) => {
                let region = ecr.region.as_deref();
                let ecr = ShownEcr::new(ecr.endpoint.as_ref(), ecr.role.as_ref(), region);
                shown.ecr = Some(ecr);
            }
            Self::EcrPublic(ecr) => {
                let ecr = ShownEcr::new(ecr.endpoint.as_ref(), ecr.role.as_ref(), None);
                shown.ecr_public = Some(ecr);
            }
            Self::Password { username, password } => {
                shown.username = Some(username);
                shown.password = Some(password);
            }
        }
        shown.serialize(serializer)
    }
}
