//! Logins from docker's `config.json`: from a credential helper, the common store, or the file
//! itself.
//!
//! The order is docker's: `credHelpers` for the host, else `credsStore`, else `auths`. The file is
//! read each time.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use protocol::host::Host;
use serde::Deserialize;
use tokio::{io::AsyncWriteExt, process::Command};

use super::Login;
use crate::{
    auth::header::basic,
    error::{LoginEntryError, LoginError},
};

/// How long a credential helper may take.
const HELPER_TIMEOUT: Duration = Duration::from_secs(15);

/// The name that a helper gives with an identity token.
const TOKEN_USER: &str = "<token>";

/// The output of helpers without a login for a host. They exit with 1 then, as on any failure.
const NO_LOGIN: &str = "credentials not found";

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DockerConfig {
    auths: HashMap<String, AuthEntry>,
    creds_store: String,
    cred_helpers: HashMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuthEntry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperOutput {
    username: String,
    secret: String,
}

/// The login for `host`; `None` if there is none.
pub(super) async fn login(host: &Host) -> Result<Option<Login>, LoginError> {
    let path = path().ok_or(LoginError::NoConfigFolder)?;
    let text = match tokio::fs::read(&path).await {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(LoginError::Read { path, source }),
    };
    let file: DockerConfig = serde_json::from_slice(&text).map_err(|error| LoginError::Parse {
        path: path.clone(),
        line: error.line(),
        column: error.column(),
    })?;
    file.login(host, &path).await
}

fn path() -> Option<PathBuf> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder =
        folder.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")))?;
    Some(folder.join("config.json"))
}

/// The keys that a login for `host` may have, docker's own first.
fn names(host: &Host) -> Vec<&str> {
    match host.as_str() {
        "docker.io" => vec![
            "https://index.docker.io/v1/",
            "index.docker.io",
            "docker.io",
            "registry-1.docker.io",
        ],
        host => vec![host],
    }
}

/// The host of a key, which may be written as a URL.
fn host_of(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

impl DockerConfig {
    async fn login(&self, host: &Host, path: &Path) -> Result<Option<Login>, LoginError> {
        let names = names(host);
        let helper = names
            .iter()
            .find_map(|name| Some((*name, self.cred_helpers.get(*name)?)));
        if let Some((name, helper)) = helper {
            return ask_helper(helper, name).await;
        }
        if !self.creds_store.is_empty()
            && let Some(login) = ask_helper(&self.creds_store, names[0]).await?
        {
            return Ok(Some(login));
        }
        match self.entry(&names) {
            Some(entry) => entry.login().map_err(|source| LoginError::Entry {
                host: host.clone(),
                path: path.to_owned(),
                source,
            }),
            None => Ok(None),
        }
    }

    fn entry(&self, names: &[&str]) -> Option<&AuthEntry> {
        let exact = names.iter().find_map(|name| self.auths.get(*name));
        exact.or_else(|| {
            let mut entries = self.auths.iter();
            let found = entries.find(|(key, _)| names.contains(&host_of(key)));
            found.map(|(_, entry)| entry)
        })
    }
}

impl AuthEntry {
    fn login(&self) -> Result<Option<Login>, LoginEntryError> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Login::IdentityToken(
                self.identitytoken.as_str().into(),
            )));
        }
        if self.auth.is_empty() {
            if self.username.is_empty() {
                // Docker leaves such an entry behind if a store has the secret.
                return Ok(None);
            }
            return Ok(basic(&self.username, &self.password).map(Login::Basic));
        }
        let config =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let decoded = GeneralPurpose::new(&STANDARD, config).decode(self.auth.trim());
        let text = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or(LoginEntryError::NotBase64)?;
        let pair = text.split_once(':');
        let (username, password) = pair.ok_or(LoginEntryError::NoColon)?;
        // Old versions of docker padded with NUL.
        let login = basic(username, password.trim_matches('\0'));
        Ok(login.map(Login::Basic))
    }
}

/// Asks `docker-credential-HELPER`, and kills it after [`HELPER_TIMEOUT`].
async fn ask_helper(helper: &str, name: &str) -> Result<Option<Login>, LoginError> {
    let program = format!("docker-credential-{helper}");
    let run = async {
        let mut child = Command::new(&program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that does not read the name may have ended already.
            let _ = stdin.write_all(name.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = match tokio::time::timeout(HELPER_TIMEOUT, run).await {
        Ok(Ok(output)) => output,
        Ok(Err(source)) => return Err(LoginError::HelperStart { program, source }),
        Err(_) => {
            let after = HELPER_TIMEOUT;
            return Err(LoginError::HelperTimeout { program, after });
        }
    };
    if !output.status.success() {
        let printed = [output.stdout, output.stderr].concat();
        return if String::from_utf8_lossy(&printed).contains(NO_LOGIN) {
            Ok(None)
        } else {
            Err(LoginError::HelperFailed {
                program,
                name: name.to_owned(),
                status: output.status,
            })
        };
    }
    let output: HelperOutput =
        serde_json::from_slice(&output.stdout).map_err(|_| LoginError::HelperOutput { program })?;
    Ok(if output.username == TOKEN_USER {
        Some(Login::IdentityToken(output.secret.into()))
    } else {
        basic(&output.username, &output.secret).map(Login::Basic)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use protocol::error_chain::ErrorChain;

    use super::*;

    fn file(text: &str) -> DockerConfig {
        serde_json::from_str(text).unwrap()
    }

    async fn login_for(file: &DockerConfig, host: &str) -> Option<Login> {
        let host = host.parse().unwrap();
        file.login(&host, Path::new("config.json")).await.unwrap()
    }

    fn header(login: Option<Login>) -> Option<HeaderValue> {
        match login? {
            Login::Basic(header) => Some(header),
            Login::IdentityToken(_) => panic!("a password is meant"),
        }
    }

    #[tokio::test]
    async fn docker_hub_is_found_under_each_of_its_names() {
        for key in [
            "https://index.docker.io/v1/",
            "index.docker.io",
            "docker.io",
            "https://registry-1.docker.io",
        ] {
            let file = file(&format!(r#"{{"auths":{{"{key}":{{"auth":"bWU6cHc="}}}}}}"#));
            assert_eq!(
                header(login_for(&file, "docker.io").await),
                basic("me", "pw"),
                "{key}"
            );
            assert!(login_for(&file, "ghcr.io").await.is_none());
        }
    }

    #[tokio::test]
    async fn a_login_is_read_in_each_of_its_forms() {
        let cases = [
            r#"{"auth":"bWU6cHc"}"#,
            r#"{"auth":"bWU6cHcAAA=="}"#,
            r#"{"username":"me","password":"pw"}"#,
        ];
        for case in cases {
            let file = file(&format!(
                r#"{{"auths":{{"https://a.example/v2/":{case}}}}}"#
            ));
            assert_eq!(
                header(login_for(&file, "a.example").await),
                basic("me", "pw"),
                "{case}"
            );
        }
    }

    #[tokio::test]
    async fn an_identity_token_is_preferred_to_a_password() {
        let file = file(r#"{"auths":{"a.example":{"auth":"MDA6","identitytoken":"secret"}}}"#);
        let login = login_for(&file, "a.example").await;
        assert!(matches!(login, Some(Login::IdentityToken(token)) if &*token == "secret"));
    }

    #[tokio::test]
    async fn an_unreadable_login_is_reported_without_the_secret() {
        let file = file(r#"{"auths":{"a.example":{"auth":"c2VjcmV0"}}}"#);
        let host = "a.example".parse().unwrap();
        let reason = file.login(&host, Path::new("c.json")).await;
        let reason = ErrorChain(&reason.err().unwrap()).to_string();
        assert!(
            reason.contains("no colon") && !reason.contains("secret"),
            "{reason}"
        );
    }
}
