//! Logins from docker's `config.json`: helpers by host, the common store, and what stands in the file itself.
//!
//! The order is docker's: `credHelpers` for the host, else `credsStore`, else `auths`. The file is read anew each time.

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

use super::{basic, login::Login};

/// How long a credential helper may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a helper calls a user whose secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// What helpers say when they have nothing for a host; they exit with 1 then as on any other failure.
const NOTHING: &str = "credentials not found";

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct File {
    auths: HashMap<String, Entry>,
    creds_store: String,
    cred_helpers: HashMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The login for `host`, `None` where there is none. The reason of a failure never holds what a helper printed.
pub(super) async fn login(host: &Host) -> Result<Option<Login>, String> {
    let path = path().ok_or("docker's config is nowhere: set DOCKER_CONFIG or HOME")?;
    let text = match tokio::fs::read(&path).await {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
    };
    let file: File = serde_json::from_slice(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("{}:{line}:{column} is not docker's config", path.display())
    })?;
    file.login(host, &path).await
}

fn path() -> Option<PathBuf> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder =
        folder.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")))?;
    Some(folder.join("config.json"))
}

/// The names a login for `host` may stand under, the one docker itself writes first.
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

impl File {
    async fn login(&self, host: &Host, path: &Path) -> Result<Option<Login>, String> {
        let names = names(host);
        let helper = names
            .iter()
            .find_map(|name| Some((*name, self.cred_helpers.get(*name)?)));
        if let Some((name, helper)) = helper {
            return ask(helper, name).await;
        }
        if !self.creds_store.is_empty()
            && let Some(login) = ask(&self.creds_store, names[0]).await?
        {
            return Ok(Some(login));
        }
        match self.entry(&names) {
            Some(entry) => entry.login().map_err(|reason| {
                let path = path.display();
                format!("the login for {host} in {path} cannot be used: {reason}")
            }),
            None => Ok(None),
        }
    }

    fn entry(&self, names: &[&str]) -> Option<&Entry> {
        let exact = names.iter().find_map(|name| self.auths.get(*name));
        exact.or_else(|| {
            let mut entries = self.auths.iter();
            let found = entries.find(|(key, _)| names.contains(&host_of(key)));
            found.map(|(_, entry)| entry)
        })
    }
}

impl Entry {
    fn login(&self) -> Result<Option<Login>, &'static str> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Login::IdentityToken(
                self.identitytoken.as_str().into(),
            )));
        }
        if self.auth.is_empty() {
            if self.username.is_empty() {
                // What docker leaves behind where a store has the secret.
                return Ok(None);
            }
            return Ok(basic(&self.username, &self.password).map(Login::Basic));
        }
        let config =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let decoded = GeneralPurpose::new(&STANDARD, config).decode(self.auth.trim());
        let text = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or("`auth` is not base64")?;
        let (username, password) = text.split_once(':').ok_or("`auth` has no colon")?;
        // Old versions of docker padded with NUL.
        let login = basic(username, password.trim_matches('\0'));
        Ok(login.map(Login::Basic))
    }
}

/// Asks `docker-credential-HELPER`. It is killed when it takes too long.
async fn ask(helper: &str, name: &str) -> Result<Option<Login>, String> {
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
            // A helper that has no need to read the name may be gone already.
            let _ = stdin.write_all(name.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(PATIENCE, run)
        .await
        .map_err(|_| format!("{program} did not answer"))?
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        return if String::from_utf8_lossy(&said).contains(NOTHING) {
            Ok(None)
        } else {
            Err(format!("{program} failed for {name}: {}", output.status))
        };
    }
    let answer: Answer = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("{program} answered with something else than a login"))?;
    Ok(if answer.username == TOKEN_USER {
        Some(Login::IdentityToken(answer.secret.into()))
    } else {
        basic(&answer.username, &answer.secret).map(Login::Basic)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn file(text: &str) -> File {
        serde_json::from_str(text).unwrap()
    }

    async fn login_for(file: &File, host: &str) -> Option<Login> {
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
    async fn docker_hub_is_found_under_the_names_it_has() {
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
    async fn an_identity_token_goes_before_a_password() {
        let file = file(r#"{"auths":{"a.example":{"auth":"MDA6","identitytoken":"secret"}}}"#);
        let login = login_for(&file, "a.example").await;
        assert!(matches!(login, Some(Login::IdentityToken(token)) if &*token == "secret"));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_told_without_the_secret() {
        let file = file(r#"{"auths":{"a.example":{"auth":"c2VjcmV0"}}}"#);
        let host = "a.example".parse().unwrap();
        let reason = file.login(&host, Path::new("c.json")).await;
        let reason = reason.err().unwrap();
        assert!(
            reason.contains("no colon") && !reason.contains("secret"),
            "{reason}"
        );
    }
}
