//! Logins from docker's `config.json` and its credential helpers.

use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};

use super::bearer::Login;
use crate::protocol::host::Host;

/// How long a credential helper may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The login for `host`, `None` where the file has none. Reads the file anew each time, so a changed login is used at once.
pub(super) async fn login(host: &Host) -> Result<Option<Login>, String> {
    let key = match host.as_str() {
        // The name under which `docker login` stores Docker Hub.
        "docker.io" => "https://index.docker.io/v1/".to_owned(),
        host => host.to_owned(),
    };
    let asked = tokio::task::spawn_blocking(move || docker_credential::get_credential(&key));
    let answered = tokio::time::timeout(PATIENCE, asked)
        .await
        .map_err(|_| "the credential helper did not answer")?;
    match answered.map_err(|_| "the credential helper was cut off by shutdown")? {
        Ok(DockerCredential::UsernamePassword(username, password)) => Ok(Some(Login {
            username,
            password: password.into(),
        })),
        Ok(DockerCredential::IdentityToken(_)) => Err(format!(
            "docker's config holds an identity token for {host}, which is not supported; log in with a password"
        )),
        Err(
            CredentialRetrievalError::NoCredentialConfigured
            | CredentialRetrievalError::ConfigNotFound,
        ) => Ok(None),
        Err(error) => Err(format!("docker's config cannot be used: {error}")),
    }
}
