//! A tag has an age: what it allows is told before a client meets it.

use integration_tests::images;
use integration_tests::proxy::{self, Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::eventually;
use serde_json::Value;

const NAME: &str = "registry.test/team/app:v1";

async fn command(archway: &Archway, arguments: &[&str]) -> (i32, String, String) {
    let (server, admin) = (archway.url(), archway.admin_url());
    let place = ["--server", &server, "--admin", &admin];
    let output = proxy::run(&[arguments, &place].concat()).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let code = output.status.code().expect("an end of its own");
    (code, text(output.stdout), text(output.stderr))
}

async fn image(archway: &Archway) -> Value {
    let path = format!("/_archway/v1/images?name={NAME}");
    archway.admin().get(&path).await.expect(200).json()["images"][0].clone()
}

/// Archway with the whole image stored, under these settings.
async fn with(lines: &str) -> (FakeRegistry, Archway) {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let setup = Setup::in_front_of_with(&registry, lines);
    let archway = setup.start().await;
    let warm = ["warm", NAME, "--platform", "linux/amd64"];
    let (code, out, err) = command(&archway, &warm).await;
    assert_eq!(code, 0, "{out}{err}");
    (registry, archway)
}

async fn comes(archway: &Archway, state: &str) {
    eventually(state, async || {
        (image(archway).await["tag_state"] == state).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_state_of_a_tag_is_shown_with_its_times() {
    for (lines, expected, has_times) in [
        ("", "fresh", true),
        ("tag_ttl = \"0s\"", "stale", true),
        ("tag_ttl = \"0s\"\nstale_if_error = \"0s\"", "expired", true),
        ("immutable_tags = [\"v*\"]", "immutable", false),
    ] {
        let (_registry, archway) = with(lines).await;
        let image = image(&archway).await;
        assert_eq!(image["tag_state"], expected, "{image}");
        assert!(image["confirmed"].is_string());
        for time in ["asked_again", "expires"] {
            assert_eq!(image[time].is_string(), has_times, "{time} in {image}");
        }
        let (_, out, _) = command(&archway, &["images"]).await;
        assert!(out.contains(&format!("cached  {expected}")), "{out}");
        let (_, out, _) = command(&archway, &["images", "-o", "wide"]).await;
        assert!(out.contains("CONFIRMED") && out.contains(expected), "{out}");
        let (_, out, _) = command(&archway, &["inspect", NAME]).await;
        assert!(
            out.contains("\ntag: ") && out.contains("confirmed 20"),
            "{out}"
        );
        let (_, out, _) = command(&archway, &["explain", NAME]).await;
        assert!(
            out.contains("\ntag: ") && out.contains("confirmed 20"),
            "{out}"
        );
    }
}

#[tokio::test]
async fn a_tag_past_its_bound_is_not_ready_while_its_upstream_is_down_and_clients_learn_why() {
    let lines = "tag_ttl = \"0s\"\nstale_if_error = \"0s\"";
    let (registry, archway) = with(lines).await;
    let ready = ["ready", NAME, "--platform", "linux/amd64"];
    let (code, out, _) = command(&archway, &ready).await;
    assert_eq!(code, 0, "the upstream answers: {out}");
    assert!(out.contains("the tag is expired"), "{out}");
    registry.close().await;
    let answer = archway.client().manifest("team/app", "v1").await;
    let error = answer.expect(502).json()["errors"][0].clone();
    let message = error["message"].as_str().expect("a message");
    for part in [
        "registry.test/team/app:v1 is here (sha256:",
        "`stale_if_error` allows no more than 0s",
        "raise that, or pull by digest",
        "the connection was refused",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
    let (code, out, _) = command(&archway, &ready).await;
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("no client gets it"), "{out}");
    let (_, out, _) = command(&archway, &["images"]).await;
    assert!(out.contains("registry.test is down: "), "{out}");
}

#[tokio::test]
async fn a_stale_tag_of_an_upstream_that_is_down_is_ready_and_says_until_when() {
    let (registry, archway) = with("tag_ttl = \"0s\"").await;
    registry.close().await;
    archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(200);
    comes(&archway, "stale").await;
    let (code, out, _) = command(&archway, &["ready", NAME, "--platform", "linux/amd64"]).await;
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("clients get the tag as last seen until 20"),
        "{out}"
    );
}

#[tokio::test]
async fn our_own_commands_are_no_clients() {
    let (_registry, archway) = with("").await;
    for question in ["explain", "inspect"] {
        command(&archway, &[question, NAME]).await;
    }
    assert_eq!(image(&archway).await["clients"], 0);
    archway
        .client()
        .manifest("team/app", "v1")
        .await
        .expect(200);
    eventually("a client is one", async || {
        (image(&archway).await["clients"] == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn images_are_found_by_a_part_of_their_name_and_an_empty_list_says_why() {
    let (_registry, archway) = with("").await;
    for filter in ["app", "team/app", "registry.test", "registry.test/*"] {
        let (code, out, _) = command(&archway, &["images", filter]).await;
        assert!(code == 0 && out.contains(NAME), "{filter}: {out}");
    }
    let (_, _, err) = command(&archway, &["images", "nothing-like-it"]).await;
    assert_eq!(
        err,
        "no cached image matches nothing-like-it; there are 1 in all\n"
    );
    let (_, out, _) = command(&archway, &["images", "--missing"]).await;
    assert!(
        out.contains(NAME),
        "other platforms of it are missing: {out}"
    );
    let registry = FakeRegistry::start().await;
    let empty = Setup::in_front_of(&registry).start().await;
    let (code, _, err) = command(&empty, &["images"]).await;
    assert_eq!((code, &*err), (0, "nothing is cached yet\n"));
}
