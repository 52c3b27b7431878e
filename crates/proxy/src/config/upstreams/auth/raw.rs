//! `auth` as the file has it: a word, a login, or ECR's settings.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::AuthSetting;
use crate::config::error::{Problem, Problems};
use crate::config::field::{Field, Meaning, Wrong};
use crate::config::secret::Secret;
use crate::config::suggest;
use crate::config::upstreams::endpoint::Endpoint;

/// A word or a table.
#[derive(Debug)]
pub(in super::super) enum RawAuth {
    Word(Result<AuthSetting, Wrong>),
    Table(RawAuthTable),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct RawAuthTable {
    username: Option<Field<Username>>,
    password_file: Option<Field<PathBuf>>,
    ecr: Option<RawEcr>,
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
}

#[derive(Debug)]
struct Username(String);

#[derive(Debug)]
struct Region(String);

impl RawAuthTable {
    pub(super) fn resolve(self, span: Range<usize>, problems: &mut Problems) -> AuthSetting {
        match self {
            RawAuthTable {
                ecr: Some(ecr),
                username: None,
                password_file: None,
            } => AuthSetting::Ecr {
                endpoint: ecr
                    .endpoint
                    .and_then(|field| field.take("endpoint", problems))
                    .map(|Endpoint(url)| url),
                region: ecr
                    .region
                    .and_then(|field| field.take("region", problems))
                    .map(|Region(region)| region),
            },
            RawAuthTable {
                ecr: None,
                username: Some(username),
                password_file: Some(file),
            } => {
                let username = username.take("username", problems);
                let password = password(file, problems);
                username
                    .zip(password)
                    .map_or_else(AuthSetting::default, |(Username(username), password)| {
                        AuthSetting::Password { username, password }
                    })
            }
            _ => {
                let help = "write { username = \"me\", password_file = \"/run/secrets/hub\" } or { ecr = { region = \"eu-west-1\" } }";
                let problem =
                    Problem::new(span, "`auth` is incomplete").label("neither a login nor ECR");
                problems.add(problem.help(help));
                AuthSetting::Inferred
            }
        }
    }
}

fn password(file: Field<PathBuf>, problems: &mut Problems) -> Option<Secret> {
    let span = file.span.clone();
    let path = file.take("password_file", problems)?;
    let error = match Secret::from_file(path) {
        Ok(secret) => return Some(secret),
        Err(error) => error,
    };
    let reason = error
        .source()
        .map_or_else(String::new, |reason| format!(": {reason}"));
    let problem =
        Problem::new(span, "`password_file` holds no password").label(format!("{error}{reason}"));
    problems.add(problem.help("the file has the password and nothing else; a line end is ignored"));
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
                        },
                    ),
                    ("ecr-public", AuthSetting::EcrPublic),
                ];
                Ok(RawAuth::Word(suggest::word(text, known)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                RawAuthTable::deserialize(MapAccessDeserializer::new(map)).map(RawAuth::Table)
            }
        }
        deserializer.deserialize_any(AuthVisitor)
    }
}

impl Meaning for Username {
    const WHAT: &'static str = "a user name";
    const EXAMPLE: &'static str = "\"me\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text.is_empty() || text.contains(|char: char| char == ':' || char.is_control()) {
            return Err(Wrong::new(
                "it has at least one character, no colon and no control characters",
            ));
        }
        Ok(Username(text.to_owned()))
    }
}

impl Meaning for Region {
    const WHAT: &'static str = "an AWS region";
    const EXAMPLE: &'static str = "\"eu-west-1\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > 63 || !text.bytes().all(is_word) {
            return Err(Wrong::new(
                "a region has lower-case letters, digits and hyphens",
            ));
        }
        Ok(Region(text.to_owned()))
    }
}
