//! `auth = "docker-config"`: logins of docker's config, of its helpers, and its identity tokens.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use integration_tests::auth::{Auth, Login, TokenService};
use integration_tests::images::Content;
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use tempfile::TempDir;

async fn pulls(archway: &Archway, content: &Content) {
    let pulled = archway.client().pull("team/app", "v1").await;
    assert_eq!(pulled.root, content.root().digest);
}

/// A folder with docker's config, in which its helpers are looked for, too; and an Archway that
/// goes by it.
fn with_config(registry: &FakeRegistry, config: &str) -> (TempDir, Setup) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("config.json"), config).expect("a writable folder");
    let setup = Setup::in_front_of_with(registry, "auth = \"docker-config\"")
        .env("DOCKER_CONFIG", folder.path().display())
        .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()));
    (folder, setup)
}

fn executable(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a writable folder");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, mode).expect("a file of ours");
}

#[tokio::test]
async fn docker_config_gives_credentials_too() {
    let login = Login::new("me", "from-docker-login");
    let (registry, content) = FakeRegistry::with_app_for(Auth::Basic(login.clone())).await;
    let auth = login.header().replace("Basic ", "");
    let config = format!("{{\"auths\":{{\"registry.test\":{{\"auth\":\"{auth}\"}}}}}}");
    let (_folder, setup) = with_config(&registry, &config);
    let archway = setup.start().await;
    pulls(&archway, &content).await;
}

#[tokio::test]
async fn what_is_null_or_empty_in_dockers_config_is_absent() {
    let login = Login::new("me", "from-docker-login");
    let auth = login.header().replace("Basic ", "");
    let entry = format!(r#""registry.test":{{"auth":"{auth}","identitytoken":null}}"#);
    for config in [
        format!(r#"{{"credHelpers":null,"credsStore":null,"auths":{{{entry}}}}}"#),
        format!(r#"{{"credHelpers":{{"registry.test":""}},"auths":{{{entry}}}}}"#),
        format!(r#"{{"auths":{{"other.test":null,"third.test":{{"auth":"?"}},{entry}}}}}"#),
    ] {
        let (registry, content) = FakeRegistry::with_app_for(Auth::Basic(login.clone())).await;
        let (_folder, setup) = with_config(&registry, &config);
        pulls(&setup.start().await, &content).await;
    }
}

#[tokio::test]
async fn dockers_credential_helpers_are_asked_by_host_and_the_common_store_after_them() {
    let login = Login::new("me", "from-a-helper");
    for config in [
        r#"{"credHelpers":{"registry.test":"double"},"credsStore":"missing"}"#,
        r#"{"credsStore":"double","auths":{"registry.test":{}}}"#,
    ] {
        let (registry, content) = FakeRegistry::with_app_for(Auth::Basic(login.clone())).await;
        let (folder, setup) = with_config(&registry, config);
        let helper = "#!/bin/sh\nread host; [ \"$host\" = registry.test ] || exit 1\n\
                      echo '{\"ServerURL\":\"x\",\"Username\":\"me\",\"Secret\":\"from-a-helper\"}'\n";
        executable(&folder.path().join("docker-credential-double"), helper);
        let archway = setup.start().await;
        pulls(&archway, &content).await;
    }
}

#[tokio::test]
async fn what_a_helper_prints_when_it_fails_is_not_logged() {
    let (registry, _) = FakeRegistry::with_app_for(Auth::Basic(Login::new("me", "x"))).await;
    let (folder, setup) = with_config(&registry, r#"{"credsStore":"double"}"#);
    let helper = "#!/bin/sh\necho secret-of-a-helper; echo secret-of-a-helper >&2; exit 1\n";
    executable(&folder.path().join("docker-credential-double"), helper);
    let archway = setup.start().await;
    archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(502);
    archway.log().says("docker-credential-double failed").await;
    let log = archway.log().text();
    assert!(!log.contains("secret-of-a-helper"), "{log}");
}

#[tokio::test]
async fn dockers_identity_token_is_taken_to_the_realm_by_post() {
    let tokens = TokenService::start_for_identity_token("identity-token-of-docker").await;
    let (registry, content) = FakeRegistry::with_app_for(Auth::Bearer(tokens.clone())).await;
    let config = "{\"auths\":{\"registry.test\":{\"identitytoken\":\"identity-token-of-docker\"}}}";
    let (_folder, setup) = with_config(&registry, config);
    let archway = setup.log_level("trace").start().await;
    pulls(&archway, &content).await;
    assert_eq!(tokens.log().all().len(), 1);
    assert!(!archway.log().text().contains("identity-token-of-docker"));
    assert!(!registry.log().mentions("identity-token-of-docker"));
}
