//! The names of the probe are those of all replicas that share a secret: a pull that a Service leads to another
//! replica than the one that made the name proves as much.

use integration_tests::proxy::{self, Archway, Setup, UPSTREAM};
use integration_tests::registry::FakeRegistry;
use serde_json::Value;

use super::{Fleet, free_addresses, section};

/// A name that this replica made.
async fn issued(replica: &Archway) -> String {
    let answer = replica.admin().get("/_archway/v1/probe").await.expect(200);
    let answer: Value = serde_json::from_str(&answer.text()).expect("JSON");
    let image = answer["image"].as_str().expect("text");
    image.strip_suffix(":1").expect("its only tag").to_owned()
}

/// What the doctor says that asks the one for a name and pulls it from the other, of a node without a runtime.
async fn said_of(pulled_from: &Archway, made_by: &Archway) -> String {
    let (server, admin) = (pulled_from.url(), made_by.admin_url());
    let doctor = ["doctor", "clients", "--probe", "--registries", UPSTREAM];
    let listeners = ["--server", &server, "--admin", &admin];
    let nowhere = ["--root", "/nonexistent"];
    let done = proxy::run(&[&doctor[..], &listeners, &nowhere].concat()).await;
    assert_eq!(done.status.code(), Some(2));
    String::from_utf8_lossy(&done.stderr).into_owned()
}

#[tokio::test]
async fn a_name_of_one_replica_is_a_whole_image_at_another_and_no_upstream_is_asked() {
    let registry = FakeRegistry::start().await;
    let fleet = Fleet::new(&registry, 2, "").await;
    for (maker, other) in [(0, 1), (1, 0)] {
        let name = issued(&fleet.replicas[maker]).await;
        let client = fleet.replicas[other].client();
        let pulled = client.pull(&name, "1").await;
        assert!(pulled.parts.len() > 4, "{:?}", pulled.parts);
        let said = said_of(&fleet.replicas[other], &fleet.replicas[maker]).await;
        assert!(!said.contains("two different Archways"), "{said}");
        let silent = "no container runtime answers at /nonexistent/run/containerd/containerd.sock";
        assert!(said.contains(silent), "{said}");
    }
    assert!(registry.log().all().is_empty());
}

#[tokio::test]
async fn who_has_another_secret_knows_none_of_their_names() {
    let registry = FakeRegistry::start().await;
    let fleet = Fleet::new(&registry, 1, "").await;
    let secret = fleet.folder.path().join("another");
    std::fs::write(&secret, "of somebody else\n").expect("a writable folder");
    let [own] = free_addresses(1)[..] else {
        unreachable!("one was asked for")
    };
    let proof = format!("secret_file = \"{}\"", secret.display());
    let stranger = Setup::in_front_of(&registry).table(&section(&[own], own, &proof));
    let stranger = stranger.start().await;
    let name = issued(&stranger).await;
    stranger.client().manifest(&name, "1").await.expect(200);
    let client = fleet.replicas[0].client();
    client.manifest(&name, "1").await.expect(404);
    let said = said_of(&fleet.replicas[0], &stranger).await;
    assert!(said.contains("two different Archways"), "{said}");
}
