//! Logins from docker's `config.json`: from a credential helper, the common store, or the file
//! itself.
//!
//! The order is docker's: `credHelpers` for the host, else `credsStore`, else `auths`. The file is
//! read each time, and as docker reads it: what is `null` or empty is absent, and no entry of
//! another host matters.

use std::{
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
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{
    Login,
    error::{LoginEntryError, LoginError},
    go_json::{GoObject, NotText},
    header::basic,
};

/// How long a credential helper may take.
const HELPER_TIMEOUT: Duration = Duration::from_secs(8);

/// The name that a helper gives with an identity token.
const TOKEN_USER: &str = "<token>";

/// The output of helpers without a login for a host. They exit with 1 then, as on any failure.
const NO_LOGIN: &str = "credentials not found";

/// The file as it was read.
struct DockerConfig(GoObject);

/// The entry of one host in `auths`.
struct AuthEntry(GoObject);

/// The login for `host`; `None` if there is none.
pub async fn login(host: &Host) -> Result<Option<Login>, LoginError> {
    let path = path().ok_or(LoginError::NoConfigFolder)?;
    let text = match tokio::fs::read(&path).await {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(LoginError::Read { path, source }),
    };
    let file = DockerConfig::parse(&text).map_err(|error| LoginError::Parse {
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
    /// Reads a file; one without a text is one without logins.
    fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        if text.trim_ascii().is_empty() {
            return Ok(Self(GoObject::default()));
        }
        GoObject::parse(text).map(Self)
    }

    async fn login(&self, host: &Host, path: &Path) -> Result<Option<Login>, LoginError> {
        let names = names(host);
        let unreadable = |source| LoginError::Entry {
            host: host.clone(),
            path: path.to_owned(),
            source,
        };
        if let Some((name, helper)) = self.helper(&names) {
            let helper = helper.as_str();
            let helper = helper.ok_or_else(|| unreadable(LoginEntryError::NotText))?;
            // An empty helper is docker's word for `auths`, whatever the common store.
            if !helper.is_empty() {
                return ask_helper(helper, name).await;
            }
        } else {
            let store = self.0.text("credsStore");
            let store = store.map_err(|NotText| unreadable(LoginEntryError::NotText))?;
            if let Some(store) = store
                && let Some(login) = ask_helper(store, names[0]).await?
            {
                return Ok(Some(login));
            }
        }
        match self.entry(&names).map_err(unreadable)? {
            Some(entry) => entry.login().map_err(unreadable),
            None => Ok(None),
        }
    }

    /// The helper for the host, and the name of the host there.
    fn helper<'a>(&self, names: &[&'a str]) -> Option<(&'a str, &Value)> {
        names.iter().find_map(|name| {
            let mut helpers = self.0.entries("credHelpers");
            let (_, helper) = helpers.find(|(key, _)| key == name)?;
            Some((*name, helper))
        })
    }

    fn entry(&self, names: &[&str]) -> Result<Option<AuthEntry>, LoginEntryError> {
        let entry = |name: &&str| self.0.entries("auths").find(|(key, _)| key == name);
        let entry = names.iter().find_map(entry).or_else(|| {
            let mut entries = self.0.entries("auths");
            entries.find(|(key, _)| names.contains(&host_of(key)))
        });
        match entry {
            None => Ok(None),
            Some((_, Value::Object(fields))) => Ok(Some(AuthEntry(fields.into()))),
            Some(_) => Err(LoginEntryError::NotText),
        }
    }
}

impl AuthEntry {
    fn text(&self, name: &str) -> Result<Option<&str>, LoginEntryError> {
        let text = self.0.text(name);
        text.map_err(|NotText| LoginEntryError::NotText)
    }

    fn login(&self) -> Result<Option<Login>, LoginEntryError> {
        if let Some(token) = self.text("identitytoken")? {
            return Ok(Some(Login::IdentityToken(token.into())));
        }
        let Some(auth) = self.text("auth")? else {
            // Docker leaves an entry without fields behind if a store has the secret.
            let Some(username) = self.text("username")? else {
                return Ok(None);
            };
            let password = self.text("password")?.unwrap_or_default();
            return Ok(basic(username, password).map(Login::Basic));
        };
        let config =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        // Tools that wrap lines do so here too; Go skips them.
        let auth: String = auth.split_ascii_whitespace().collect();
        let decoded = GeneralPurpose::new(&STANDARD, config).decode(auth);
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
    helper_login(&output.stdout).map_err(|NotText| LoginError::HelperOutput { program })
}

/// What a helper prints; a login without a name and a secret is none.
fn helper_login(printed: &[u8]) -> Result<Option<Login>, NotText> {
    let output = GoObject::parse(printed).map_err(|_| NotText)?;
    let (username, secret) = (output.text("Username")?, output.text("Secret")?);
    Ok(match (username, secret.unwrap_or_default()) {
        (Some(TOKEN_USER), token) => Some(Login::IdentityToken(token.into())),
        (None, "") => None,
        (username, secret) => basic(username.unwrap_or_default(), secret).map(Login::Basic),
    })
}

/// Reads a file and looks up hosts in it. No helper is run.
#[cfg(fuzzing)]
pub fn fuzz_docker_config(text: &[u8]) {
    let Ok(file) = DockerConfig::parse(text) else {
        return;
    };
    for host in ["docker.io", "registry.example:5000"] {
        let host = host.parse().expect("a host");
        let _ = file.helper(&names(&host));
        if let Ok(Some(entry)) = file.entry(&names(&host)) {
            let _ = entry.login();
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use protocol::error_chain::ErrorChain;

    use super::*;

    fn file(text: &str) -> DockerConfig {
        DockerConfig::parse(text.as_bytes()).unwrap()
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
    async fn null_and_empty_are_absent_and_no_entry_of_another_host_matters() {
        const LOGIN: &str = r#""a.example":{"auth":"bWU6cHc="}"#;
        let cases = [
            format!(r#"{{"credHelpers":null,"credsStore":null,"auths":{{{LOGIN}}}}}"#),
            format!(
                r#"{{"credHelpers":{{"a.example":null}},"credsStore":"","auths":{{{LOGIN}}}}}"#
            ),
            format!(
                r#"{{"credHelpers":{{"a.example":""}},"credsStore":"none","auths":{{{LOGIN}}}}}"#
            ),
            format!(r#"{{"credHelpers":{{"b.example":5}},"auths":{{"b.example":null,{LOGIN}}}}}"#),
            format!(r#"{{"auths":{{"b.example":{{"auth":7,"identitytoken":null}},{LOGIN}}}}}"#),
            format!(r#"{{"auths":{{"b.example":"text","c.example":[],{LOGIN}}}}}"#),
            format!(r#"{{"Auths":{{{LOGIN}}},"HttpHeaders":null,"detachKeys":null}}"#),
            r#"{"auths":{"a.example":{"auth":"bWU6cHc=","identitytoken":null}}}"#.to_owned(),
            r#"{"auths":{"a.example":{"auth":"bWU6\ncHc=\n","email":null}}}"#.to_owned(),
            r#"{"auths":{"a.example":null,"https://a.example":{"auth":"bWU6cHc="}}}"#.to_owned(),
            r#"{"auths":{"a.example":{"auth":null,"username":"me","password":"pw"}}}"#.to_owned(),
        ];
        for case in cases {
            let login = login_for(&file(&case), "a.example").await;
            assert_eq!(header(login), basic("me", "pw"), "{case}");
        }
        for case in [
            "null",
            "{}",
            "",
            r#"{"auths":null}"#,
            r#"{"auths":{"a.example":null}}"#,
            r#"{"auths":{"a.example":{"auth":null,"password":null}}}"#,
        ] {
            assert!(
                login_for(&file(case), "a.example").await.is_none(),
                "{case}"
            );
        }
    }

    #[test]
    fn what_a_helper_prints_is_read_as_docker_reads_it() {
        let login = |text: &str| helper_login(text.as_bytes());
        assert_eq!(login("null"), Ok(None));
        assert_eq!(login(r#"{"Username":null,"Secret":""}"#), Ok(None));
        let password = basic("me", "pw").map(Login::Basic);
        assert_eq!(login(r#"{"username":"me","Secret":"pw"}"#), Ok(password));
        assert_eq!(login(r#"{"Username":5}"#), Err(NotText));
        assert_eq!(login("credentials: none"), Err(NotText));
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
