//! `[replicas]`: several Archways that share their downloads. Each blob comes from the upstream once,
//! a tag is asked for by one of them, and any of them may go.

mod ages;
mod probes;
mod proofs;
mod shown;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use http::{HeaderValue, Method, StatusCode, header};
use integration_tests::client::{Client, Download, End, blob_path};
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, BigBlob, Blob, Content, Flavor};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::{eventually, within_for};
use manifest_model::{Algorithm, Digest};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// One connection for each blob, so that requests can be counted.
const ONE_CONNECTION: &str = "parallel = 1";

/// What proves one of them to the others.
const SECRET: &str = "of all of them\n";

/// Replicas that know each other.
struct Fleet {
    replicas: Vec<Archway>,
    addresses: Vec<SocketAddr>,
    each: Each,
    /// Holds the file of their secret.
    folder: TempDir,
}

/// What each of them has in its configuration.
#[derive(Clone, Debug, Default)]
struct Each {
    /// For its upstream.
    lines: String,
    /// Beside that.
    tables: String,
}

/// Addresses that nobody else listens at: each is a loopback address of its own, of this process and this
/// call.
fn free_addresses(count: usize) -> Vec<SocketAddr> {
    static CALLS: AtomicU8 = AtomicU8::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    // 127.0 is everybody's; sixteen calls share the addresses of one port.
    let of = |number: u8| Ipv4Addr::new(127, high | 1, low, call % 16 * 16 + number + 1);
    let port = 5002 + u16::from(call / 16);
    (0..count)
        .map(|number| SocketAddr::from((of(u8::try_from(number).expect("a few")), port)))
        .collect()
}

/// `[replicas]` of the one that listens at `own`.
fn section(members: &[SocketAddr], own: SocketAddr, proof: &str) -> String {
    let members: Vec<_> = members.iter().map(ToString::to_string).collect();
    format!(
        "[replicas]\ndiscover = \"static\"\nmembers = {members:?}\nlisten = \"{own}\"\n{proof}\n"
    )
}

impl Fleet {
    /// So many replicas in front of `registry`, each with these lines for its upstream.
    async fn new(registry: &FakeRegistry, size: usize, lines: &str) -> Self {
        Self::of_listed(registry, size, size, lines).await
    }

    /// The same, where the list names more than those that run.
    async fn of_listed(registry: &FakeRegistry, size: usize, listed: usize, lines: &str) -> Self {
        let each = Each {
            lines: lines.to_owned(),
            ..Each::default()
        };
        let addresses = free_addresses(listed);
        Self::at(registry, &addresses, &addresses[..size], each).await
    }

    /// Those that listen at `own`, each of which the others know by the address at its place in `members`.
    async fn at(
        registry: &FakeRegistry,
        members: &[SocketAddr],
        own: &[SocketAddr],
        each: Each,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("secret"), SECRET).expect("a writable folder");
        let mut fleet = Self {
            replicas: Vec::new(),
            addresses: members.to_vec(),
            each,
            folder,
        };
        let starting = own.iter().map(|own| fleet.start(registry, *own));
        fleet.replicas = join_all(starting).await;
        for replica in &fleet.replicas {
            sees(replica, own.len()).await;
        }
        fleet
    }

    /// One that listens at `own`, with an empty cache.
    async fn start(&self, registry: &FakeRegistry, own: SocketAddr) -> Archway {
        let secret = self.folder.path().join("secret");
        let proof = format!("secret_file = \"{}\"", secret.display());
        Setup::in_front_of_with(registry, &self.each.lines)
            .log_level("info,pull=debug,replicas=debug")
            .table(&section(&self.addresses, own, &proof))
            .table(&self.each.tables)
            .aws_credentials()
            .start()
            .await
    }

    /// The number of the one that owns a key.
    fn owner(&self, key: &str) -> usize {
        owner(key, &self.addresses[..self.replicas.len()])
    }

    /// The numbers of the others.
    fn others(&self, owner: usize) -> Vec<usize> {
        let numbers = 0..self.replicas.len();
        numbers.filter(|number| *number != owner).collect()
    }
}

/// The number of the member that owns a key, as rendezvous hashing has it.
fn owner(key: &str, members: &[SocketAddr]) -> usize {
    let score = |address: &SocketAddr| {
        let text = format!("{key}\0{address}");
        Digest::of(Algorithm::Sha256, text.as_bytes()).hex()
    };
    let best = (0..members.len()).max_by_key(|number| score(&members[*number]));
    best.expect("there is one")
}

/// Waits until a replica may ask so many, itself included.
async fn sees(replica: &Archway, members: usize) {
    eventually("the replicas have found each other", async || {
        let there = replica.metric("archway_replica_members").await;
        (there == Some(members as u64)).then_some(())
    })
    .await;
}

fn signal(replica: &Archway, name: &str) {
    let kill = format!("kill -{name} {}", replica.pid());
    let status = std::process::Command::new("sh")
        .args(["-c", &kill])
        .status();
    assert!(status.expect("a shell").success(), "{kill}");
}

fn big(name: &str, size: u64) -> Blob {
    Blob::from(BigBlob::new(name, size))
}

async fn registry_of(blob: &Blob) -> FakeRegistry {
    FakeRegistry::with("team/app", "v1", &images::of_blob(blob)).await
}

/// An image of several layers.
fn image(name: &str) -> Content {
    let layer = |number: u64| big(&format!("{name} {number}"), (1 + number) * MIB);
    images::of_blobs(&(0..3).map(layer).collect::<Vec<_>>())
}

/// A download through a replica, of whose 8 MiB nearly half has come.
async fn half_way(replica: &Archway, blob: &Blob) -> Download {
    let path = blob_path("team/app", blob.digest());
    let mut download = replica.client().open(Method::GET, &path).await;
    download.read_to(3 * MIB, blob, 0).await;
    download
}

/// Reads the rest of such downloads.
async fn all_end(downloads: Vec<Download>, blob: &Blob) {
    for download in downloads {
        assert_eq!(download.finish(blob).await, End::Complete(8 * MIB));
    }
}

/// How many questions of this kind a replica has sent to others that answered them.
async fn answered(replica: &Archway, kind: &str) -> u64 {
    let labels = format!("direction=\"sent\",kind=\"{kind}\",result=\"answered\"");
    let name = format!("archway_replica_requests_total{{{labels}}}");
    replica.metric(&name).await.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_blob_comes_from_the_upstream_once_however_many_ask_at_however_many_replicas() {
    let registry = FakeRegistry::start().await;
    let images: Vec<_> = (0..4)
        .map(|number| image(&format!("image {number}")))
        .collect();
    for (number, image) in images.iter().enumerate() {
        registry.push("team/app", &format!("v{number}"), image);
    }
    let fleet = Fleet::new(&registry, 4, ONE_CONNECTION).await;
    let pulls = fleet.replicas.iter().flat_map(|replica| {
        (0..16).map(move |client| async move {
            let tag = format!("v{}", client % 4);
            replica.client().pull("team/app", &tag).await
        })
    });
    within_for(Duration::from_mins(3), "64 clients pull", join_all(pulls)).await;
    for image in &images {
        for blob in &image.blobs {
            assert_eq!(registry.gets_of(&blob.digest()), 1);
            assert_eq!(registry.bytes_of(&blob.digest()), blob.size());
        }
        assert_eq!(registry.log().gets(image.root().digest), 0, "by tag alone");
    }
    let tags = registry.log().gets("/manifests/v");
    assert_eq!(tags, images.len(), "one GET of each tag");
}

#[tokio::test]
async fn a_follower_reads_at_another_replica_what_has_arrived_at_the_owner() {
    let blob = big("growing", 8 * MIB);
    let registry = registry_of(&blob).await;
    let fleet = Fleet::new(&registry, 3, ONE_CONNECTION).await;
    let gate = registry.faults().hold_body(On::path("/blobs/"), 4 * MIB);
    let mut downloads = Vec::new();
    for replica in &fleet.replicas {
        downloads.push(half_way(replica, &blob).await);
    }
    gate.open();
    all_end(downloads, &blob).await;
    assert_eq!(registry.gets_of(&blob.digest()), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_sends_a_blob_to_a_few_and_the_others_have_it_of_those() {
    let blob = big("a tree", 8 * MIB);
    let registry = registry_of(&blob).await;
    let fleet = Fleet::new(&registry, 8, ONE_CONNECTION).await;
    let owner = fleet.owner(&blob.digest().to_string());
    let gate = registry.faults().hold_body(On::path("/blobs/"), 4 * MIB);
    let mut downloads = Vec::new();
    for other in fleet.others(owner) {
        downloads.push(half_way(&fleet.replicas[other], &blob).await);
    }
    gate.open();
    all_end(downloads, &blob).await;
    assert_eq!(registry.gets_of(&blob.digest()), 1);
    let name = "archway_replica_bytes_total{direction=\"sent\"}";
    let sent = fleet.replicas[owner].metric(name).await;
    assert!(sent <= Some(4 * 8 * MIB), "{sent:?} bytes to seven others");
}

#[tokio::test]
async fn when_the_owner_is_killed_in_mid_fill_the_rest_comes_from_elsewhere() {
    let blob = big("killed", 8 * MIB);
    let registry = registry_of(&blob).await;
    let mut fleet = Fleet::new(&registry, 3, ONE_CONNECTION).await;
    let owner = fleet.owner(&blob.digest().to_string());
    let gate = registry.faults().hold_body(On::path("/blobs/"), 4 * MIB);
    let follower = &fleet.replicas[fleet.others(owner)[0]];
    let download = half_way(follower, &blob).await;
    registry.faults().clear();
    fleet.replicas[owner].kill();
    let (end, pause) = download.finish_with_pause(&blob).await;
    assert_eq!(end, End::Complete(8 * MIB));
    assert!(pause < Duration::from_secs(3), "{pause:?}");
    assert!(registry.gets_of(&blob.digest()) <= 2);
    gate.open();
}

#[tokio::test]
async fn when_the_owner_hangs_in_mid_fill_the_rest_comes_from_elsewhere() {
    let blob = big("hung", 8 * MIB);
    let registry = registry_of(&blob).await;
    let fleet = Fleet::new(&registry, 3, ONE_CONNECTION).await;
    let owner = fleet.owner(&blob.digest().to_string());
    let gate = registry.faults().hold_body(On::path("/blobs/"), 4 * MIB);
    let follower = &fleet.replicas[fleet.others(owner)[0]];
    let download = half_way(follower, &blob).await;
    registry.faults().clear();
    signal(&fleet.replicas[owner], "STOP");
    let (end, pause) = download.finish_with_pause(&blob).await;
    assert_eq!(end, End::Complete(8 * MIB));
    assert!(pause < Duration::from_secs(3), "{pause:?}");
    gate.open();
    signal(&fleet.replicas[owner], "CONT");
}

#[tokio::test]
async fn a_replica_that_is_listed_and_never_came_costs_no_pull() {
    let content = image("some are missing");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let fleet = Fleet::of_listed(&registry, 2, 5, ONE_CONNECTION).await;
    for replica in &fleet.replicas {
        let pulled = replica.client().pull("team/app", "v1").await;
        assert_eq!(pulled.root, content.root().digest);
    }
    for blob in &content.blobs {
        assert_eq!(registry.gets_of(&blob.digest()), 1);
    }
}

#[tokio::test]
async fn a_replica_that_ends_while_clients_pull_at_the_others_fails_no_pull() {
    let registry = FakeRegistry::start().await;
    let contents: Vec<_> = (0..6)
        .map(|number| image(&format!("end {number}")))
        .collect();
    for (number, content) in contents.iter().enumerate() {
        registry.push("team/app", &format!("v{number}"), content);
    }
    let mut fleet = Fleet::new(&registry, 3, ONE_CONNECTION).await;
    let going = fleet.replicas.pop().expect("three of them");
    let pulls = fleet.replicas.iter().flat_map(|replica| {
        (0..6).map(move |number| async move {
            replica
                .client()
                .pull("team/app", &format!("v{number}"))
                .await
        })
    });
    let (pulled, ()) = tokio::join!(join_all(pulls), async { going.terminate() });
    for (pulled, content) in std::iter::zip(pulled, contents.iter().cycle()) {
        assert_eq!(pulled.root, content.root().digest);
    }
}

#[tokio::test]
async fn a_pause_that_one_is_asked_for_is_one_for_all() {
    let blob = big("limited", MIB);
    let registry = registry_of(&blob).await;
    let fleet = Fleet::new(&registry, 3, "patience = \"1s\"").await;
    let faults = registry.faults();
    faults.add(
        On::path("/blobs/"),
        Fault::Status(StatusCode::TOO_MANY_REQUESTS),
    );
    let (name, time) = (header::RETRY_AFTER, HeaderValue::from_static("120"));
    faults.add(On::path("/blobs/"), Fault::Header(name, time));
    let answer = fleet.replicas[0]
        .client()
        .blob("team/app", blob.digest())
        .await;
    assert!(answer.status.is_client_error() || answer.status.is_server_error());
    for replica in &fleet.replicas {
        eventually("each of them holds back its calls", async || {
            let state = replica.admin().get("/readyz").await.text();
            state.contains("for blobs, paused").then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_is_stored_here_is_asked_of_no_other() {
    let blob = big("stored", MIB);
    let registry = registry_of(&blob).await;
    let fleet = Fleet::new(&registry, 2, ONE_CONNECTION).await;
    let follower = &fleet.replicas[fleet.others(fleet.owner(&blob.digest().to_string()))[0]];
    let pulled = follower.client().pull("team/app", "v1").await;
    follower.stores_all(&pulled).await;
    let sent = async || answered(follower, "blob").await + answered(follower, "manifest").await;
    let before = sent().await;
    assert!(before > 0);
    for _ in 0..20 {
        follower
            .client()
            .blob("team/app", blob.digest())
            .await
            .expect(200);
        follower
            .client()
            .manifest("team/app", pulled.root)
            .await
            .expect(200);
    }
    assert_eq!(sent().await, before);
}

#[tokio::test]
async fn a_virtual_index_can_be_pulled_by_its_digest_at_any_replica() {
    let rule = "[[upstream.\"registry.test\".virtual_index]]\nname = \"team/*:latest\"\n\
                sources = [\"team/*:amd64\", \"team/*:arm64\"]\n";
    let single = |platform: &str| images::single(platform, platform, Flavor::Oci);
    let registry = FakeRegistry::with("team/app", "amd64", &single("linux/amd64")).await;
    registry.push("team/app", "arm64", &single("linux/arm64"));
    let fleet = Fleet::new(&registry, 4, rule).await;
    let first = fleet.replicas[1]
        .client()
        .manifest("team/app", "latest")
        .await;
    let digest = first.expect(200).header("docker-content-digest").to_owned();
    for replica in &fleet.replicas {
        let answer = replica.client().manifest("team/app", digest.as_str()).await;
        answer.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_that_moves_goes_back_at_no_replica_and_is_seen_at_all() {
    let (old, new) = (image("old"), image("new"));
    let registry = FakeRegistry::with("team/app", "v1", &old).await;
    let fleet = Fleet::new(&registry, 4, "tag_ttl = \"1s\"").await;
    let moved = new.root().digest;
    let watch = async |client: Client| {
        let mut has_moved = false;
        eventually("the tag has moved here", async || {
            let answer = client.manifest("team/app", "v1").await.expect(200);
            let is_new = answer.header("docker-content-digest") == moved.to_string();
            assert!(is_new || !has_moved, "the tag went back");
            has_moved |= is_new;
            is_new.then_some(())
        })
        .await;
        // From here on it stays, at each of them.
        for _ in 0..50 {
            let answer = client.manifest("team/app", "v1").await.expect(200);
            assert_eq!(answer.header("docker-content-digest"), moved.to_string());
        }
    };
    for replica in &fleet.replicas {
        replica
            .client()
            .manifest("team/app", "v1")
            .await
            .expect(200);
    }
    registry.push("team/app", "v1", &new);
    join_all(fleet.replicas.iter().map(|replica| watch(replica.client()))).await;
}

#[tokio::test]
async fn the_authority_alone_asks_for_a_tag_and_the_others_for_no_longer_than_it_is_there() {
    let content = image("one question");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let mut fleet = Fleet::new(&registry, 3, "tag_ttl = \"1h\"").await;
    for replica in &fleet.replicas {
        replica
            .client()
            .manifest("team/app", "v1")
            .await
            .expect(200);
    }
    assert_eq!(registry.log().gets("/manifests/v1"), 1);
    let authority = fleet.owner("registry.test/team/app");
    fleet.replicas[authority].kill();
    for other in fleet.others(authority) {
        fleet.replicas[other]
            .client()
            .manifest("team/app", "v1")
            .await
            .expect(200);
        let absent = fleet.replicas[other]
            .client()
            .manifest("team/app", "none")
            .await;
        assert_eq!(absent.status, 404);
    }
}

#[tokio::test]
async fn a_stranger_gets_nothing_from_the_listener_for_replicas() {
    let content = image("private");
    let registry = FakeRegistry::with("team/app", "v1", &content).await;
    let fleet = Fleet::new(&registry, 2, "").await;
    let stranger = Client::new(&format!("http://{}", fleet.addresses[0]));
    for path in [
        "/v2/",
        "/v2/team/app/manifests/v1",
        "/_archway/v1/replica/hello",
    ] {
        let answer = stranger.get(path).await;
        assert_eq!(answer.status, 403, "{path}");
    }
    let forged = stranger.with("authorization", "Archway-Replica 1 00");
    assert_eq!(forged.get("/v2/team/app/manifests/v1").await.status, 403);
    assert_eq!(registry.log().all().len(), 0);
}

#[tokio::test]
async fn the_command_shows_who_is_there() {
    let registry = FakeRegistry::start().await;
    let fleet = Fleet::of_listed(&registry, 2, 3, "").await;
    let admin = fleet.replicas[0].admin_url();
    let output = integration_tests::proxy::run(&["replicas", "--admin", &admin]).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    for address in &fleet.addresses {
        assert!(text.contains(&address.to_string()), "{text}");
    }
    assert!(
        text.contains("(this one)") && text.contains("unheard"),
        "{text}"
    );
}
