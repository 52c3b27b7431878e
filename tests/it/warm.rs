//! `archway warm` says what is stored, and not what has merely come by.

use integration_tests::{
    images::{self, Flavor},
    proxy::{Archway, Setup},
    registry::FakeRegistry,
};

const NAME: &str = "registry.test/team/app:v1";

async fn warm(archway: &Archway, arguments: &[&str]) -> (String, Option<i32>) {
    let (server, admin) = (archway.url(), archway.admin_url());
    let place = ["--server", &server, "--admin", &admin];
    warm_at(archway, arguments, &place).await
}

async fn warm_at(archway: &Archway, arguments: &[&str], place: &[&str]) -> (String, Option<i32>) {
    let output = archway
        .command(&[&["warm", NAME], arguments, place].concat())
        .await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (text, output.status.code())
}

#[tokio::test]
async fn an_image_for_one_platform_is_warm_for_no_other() {
    let registry = FakeRegistry::start().await;
    registry.push(
        "team/app",
        "v1",
        &images::single("app", "linux/amd64", Flavor::Oci),
    );
    let archway = Setup::in_front_of(&registry).start().await;
    let (said, code) = warm(&archway, &["--platform", "linux/amd64,linux/arm64"]).await;
    assert_eq!(code, Some(1), "{said}");
    let line = |platform: &str| {
        said.lines()
            .find(|line| line.contains(platform))
            .expect("a line")
    };
    assert!(line("linux/amd64").ends_with("cached"), "{said}");
    assert!(
        line("linux/arm64").ends_with("no manifest for linux/arm64; there is linux/amd64"),
        "{said}"
    );
    let (server, admin) = (archway.url(), archway.admin_url());
    let resolve = |more: &'static str| {
        let ask = ["resolve", NAME, "--platform", "linux/arm64", more];
        let place = ["--server", &server, "--admin", &admin];
        let all: Vec<String> = ask
            .iter()
            .chain(&place)
            .map(|word| (*word).to_owned())
            .collect();
        let archway = &archway;
        async move {
            let all: Vec<_> = all.iter().map(String::as_str).collect();
            archway.command(&all).await
        }
    };
    let refused = resolve("-otext").await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stdout.is_empty());
    let any = resolve("--any").await;
    assert!(any.stdout.starts_with(b"sha256:"), "{any:?}");
}

#[tokio::test]
async fn what_came_and_found_no_room_is_not_warm() {
    let (registry, _) = FakeRegistry::with_app().await;
    // All of the file system is left to others.
    let archway = Setup::in_front_of(&registry)
        .cache("min_free = \"99%\"")
        .start()
        .await;
    let (said, code) = warm(&archway, &["--platform", "linux/amd64"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("it came, and is not stored whole"), "{said}");
}

#[tokio::test]
async fn a_server_that_is_not_archway_is_called_that() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let url = registry.url();
    let place = ["--server", &url, "--admin", &archway.admin_url()];
    let (said, code) = warm_at(&archway, &["--platform", "linux/amd64"], &place).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("not as the registry listener of an Archway"),
        "{said}"
    );
}

#[tokio::test]
async fn without_the_admin_listener_it_is_pulled_and_no_more_is_said() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let place = ["--server", &archway.url(), "--admin", "http://127.0.0.1:1"];
    let (said, code) = warm_at(&archway, &["--platform", "linux/amd64"], &place).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.trim_end().ends_with("pulled"), "{said}");
}
