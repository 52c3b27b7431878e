//! Every JSON answer is as its schema in docs/reference says.

use std::collections::BTreeSet;
use std::process::Output;

use integration_tests::images::{self, Content};
use integration_tests::proxy::{self, Archway, Setup, UPSTREAM};
use integration_tests::registry::FakeRegistry;
use integration_tests::schema;
use serde_json::{Value, json};

const NAME: &str = "registry.test/team/app:v1";

/// What an answer was asked of.
struct World {
    content: Content,
    registry: FakeRegistry,
    archway: Archway,
}

impl World {
    async fn new() -> Self {
        let content = images::attested("app");
        let registry = FakeRegistry::with("team/app", "v1", &content).await;
        let archway = Setup::in_front_of_with(&registry, "tag_ttl = \"0s\"")
            .start()
            .await;
        archway.client().pull("team/app", "v1").await;
        Self {
            content,
            registry,
            archway,
        }
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        let (server, admin) = (self.archway.url(), self.archway.admin_url());
        let place = ["-o", "json", "--server", &server, "--admin", &admin];
        read(&proxy::run(&[arguments, &place].concat()).await, arguments)
    }

    async fn socket(&self, arguments: &[&str]) -> Value {
        let socket = self.archway.cache_folder().join("admin.sock");
        let place = [
            "-o",
            "json",
            "--socket",
            socket.to_str().expect("a plain path"),
        ];
        read(&proxy::run(&[arguments, &place].concat()).await, arguments)
    }

    async fn cache(&self, arguments: &[&str]) -> Value {
        let all = [arguments, &["-o", "json"]].concat();
        read(&self.archway.cache_command(&all).await, arguments)
    }
}

fn read(output: &Output, arguments: &[&str]) -> Value {
    let err = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {err}"))
}

/// The names of the schemas that were used.
#[derive(Default)]
struct Used(BTreeSet<String>);

impl Used {
    fn check(&mut self, name: &str, value: &Value) {
        schema::check(name, value);
        self.0.insert(name.to_owned());
    }
}

#[tokio::test]
async fn every_answer_is_as_its_schema_says_and_every_schema_is_of_an_answer() {
    let mut world = World::new().await;
    let mut used = Used::default();
    answers_of_a_server(&world, &mut used).await;
    let admin = world.archway.admin();
    let nodes = admin.get("/_archway/v1/nodes").await.expect(200);
    used.check("nodes", &nodes.json());
    answers_of_an_outage(&world, &mut used).await;
    answers_of_a_replica(&mut used).await;
    answers_of_a_directory(&mut world, &mut used).await;
    let files = std::fs::read_dir(schema::folder()).expect("the folder of the schemas");
    let names = files.filter_map(|file| {
        let name = file.expect("a file").file_name().into_string().ok()?;
        Some(name.strip_suffix(".schema.json")?.to_owned())
    });
    assert_eq!(used.0, names.collect());
}

async fn answers_of_a_replica(used: &mut Used) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "known to all").expect("a writable folder");
    // Nobody is at the address of the other one.
    let table = format!(
        "[replicas]\ndiscover = \"static\"\nmembers = [\"127.0.0.1:1\"]\n\
         listen = \"127.0.0.1:0\"\nzone = \"a\"\nsecret_file = \"{}\"",
        secret.display()
    );
    let archway = Setup::new().table(&table).start().await;
    let admin = archway.admin_url();
    let arguments = ["replicas", "-o", "json", "--admin", &admin];
    used.check("replicas", &read(&proxy::run(&arguments).await, &arguments));
}

async fn answers_of_a_server(world: &World, used: &mut Used) {
    let platform = ["--platform", "linux/arm64"];
    let explained = world
        .json(&["explain", "--as", "Archway-Platform: linux/arm64", NAME])
        .await;
    used.check("explanation", &explained["explanation"]);
    used.check("explain", &explained);
    used.check(
        "explain",
        &world.json(&["explain", "registry.test/team/none:v1"]).await,
    );
    used.check("inspect", &world.json(&["inspect", NAME]).await);
    used.check(
        "resolve",
        &world
            .json(&[&["resolve", NAME], &platform[..]].concat())
            .await,
    );
    used.check(
        "warm",
        &world
            .json(&[&["warm", NAME, "registry.test/a:b"], &platform[..]].concat())
            .await,
    );
    used.check("images", &world.json(&["images"]).await);
    used.check(
        "report",
        &world
            .json(&["report", "--need", "linux/amd64,linux/s390x"])
            .await,
    );
    for name in ["wanted", "fills", "upstreams", "evictions", "top"] {
        used.check(name, &world.json(&[name]).await);
    }
    answers_of_the_admin_listener(world, used).await;
    used.check("refresh", &world.socket(&["refresh", NAME]).await);
    world
        .archway
        .edit_config("tag_ttl = \"0s\"", "tag_ttl = \"1s\"");
    used.check("reload", &world.socket(&["reload"]).await);
    used.check(
        "rm",
        &world
            .socket(&["rm", "registry.test/team/none:v1", NAME])
            .await,
    );
    let answer = world
        .archway
        .client()
        .get("/v2/team/app/manifests/none")
        .await
        .expect(404);
    used.check("error", &answer.json());
}

async fn answers_of_the_admin_listener(world: &World, used: &mut Used) {
    let arguments = ["events", "--no-follow", "-o", "json", "--admin"];
    let admin = world.archway.admin_url();
    let output = proxy::run(&[&arguments[..], &[&admin]].concat()).await;
    let lines = String::from_utf8(output.stdout).expect("text");
    assert!(lines.lines().count() > 0, "what is listened on is an event");
    for line in lines.lines() {
        used.check("event", &serde_json::from_str(line).expect("JSON"));
    }
    let admin = world.archway.admin();
    for name in [
        "cache",
        "clients",
        "config",
        "events",
        "history",
        "images",
        "instance",
        "overview",
        "platforms",
        "wanted",
    ] {
        let answer = admin.get(&format!("/_archway/v1/{name}")).await.expect(200);
        used.check(name, &answer.json());
    }
    for (name, route) in [
        ("image", format!("images/{NAME}")),
        ("foretold", format!("explain?name={NAME}")),
        ("report", "report?need=linux/s390x&limit=1".to_owned()),
    ] {
        let answer = admin.get(&format!("/_archway/v1/{route}")).await;
        used.check(name, &answer.expect(200).json());
    }
}

async fn answers_of_an_outage(world: &World, used: &mut Used) {
    world.archway.client().pull("team/app", "v1").await;
    world.registry.close().await;
    let client = world.archway.client();
    for path in ["team/app/manifests/other", "team/other/tags/list"] {
        let answer = client.get(&format!("/v2/{path}")).await;
        assert!(answer.status.is_server_error(), "{}", answer.text());
        used.check("error", &answer.json());
    }
    used.check(
        "explain",
        &world
            .json(&["explain", "registry.test/team/app:other"])
            .await,
    );
    let listed = world.json(&["images"]).await;
    assert!(listed["down"][UPSTREAM].is_string(), "{listed}");
    used.check("images", &listed);
    used.check("upstreams", &world.json(&["upstreams"]).await);
    let setup = Setup::in_front_of(&world.registry);
    let doctor = ["doctor", "upstreams", "-o", "json", "--config", "CONFIG"];
    used.check(
        "doctor-upstreams",
        &read(&setup.run(&doctor).await, &doctor),
    );
    let report = world.json(&["wanted", "--since", "7d"]).await;
    assert_eq!(report, json!({ "wishes": [] }));
}

/// Of an Archway that has ended.
async fn answers_of_a_directory(world: &mut World, used: &mut Used) {
    world.archway.terminate();
    world.archway.ended().await;
    for (name, arguments) in [
        ("cache-ls", &["ls"][..]),
        ("cache-ls", &["ls", "--tags"]),
        ("cache-du", &["du"]),
        ("cache-verify", &["verify"]),
        ("cache-gc", &["gc"]),
    ] {
        used.check(name, &world.cache(arguments).await);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("app.bundle");
    let file = file.to_str().expect("a plain path");
    let archway = &world.archway;
    let export = ["export", NAME, "--platform", "all", "-o", file];
    let exported = archway.bundle_command(&export).await;
    let err = String::from_utf8_lossy(&exported.stderr);
    assert!(exported.status.success(), "{err}");
    let imported = archway.bundle_command(&["import", file]).await;
    let err = String::from_utf8_lossy(&imported.stderr);
    assert!(imported.status.success(), "{err}");
    let listed = archway.bundle_command(&["ls", "-o", "json"]).await;
    used.check("bundle-ls", &read(&listed, &["bundle", "ls"]));
    for (name, arguments) in [
        ("bundle-inspect", &["bundle", "inspect", file][..]),
        ("bundle-diff", &["bundle", "diff", file, file]),
    ] {
        let asked = [arguments, &["-o", "json"]].concat();
        used.check(name, &read(&proxy::run(&asked).await, arguments));
    }
    let digest = world.content.blobs[0].digest().to_string();
    used.check("cache-rm", &world.cache(&["rm", NAME, &digest]).await);
}
