//! What several replicas are for, with figures: a herd of clients, replicas that are replaced, killed or
//! stopped in the middle, a fleet that is cut in two, a tag that moves.
//!
//! Each test prints the rows of a table: what was measured, its bound, whether it holds. The short form,
//! which runs here, judges whether pulls fail, and nothing else: on a machine that is busy with other tests
//! a replica may seem to hang, and then more is downloaded and waited for. `ARCHWAY_FLEET=8,64,20` is the
//! long form: so many replicas, clients and images, and every bound is judged. It wants a machine of its own
//! and, with `ARCHWAY_BIN`, the binary that is shipped.

mod between;
mod herd;

use std::fmt::Display;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;
use integration_tests::client::{Client, Download, End, blob_path};
use integration_tests::faults::{Fault, On};
use integration_tests::images::Blob;
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::{eventually, within_for};

use self::between::Between;
use self::herd::{Doors, Image, herd};
use super::{Each, Fleet, MIB, answered, big, free_addresses, image, registry_of, sees, signal};

/// How far away the upstream is, and what one of its connections brings in a second.
const DISTANCE: Duration = Duration::from_millis(40);
const RATE: u64 = 2_000_000;

/// How much is run, and judged.
#[derive(Clone, Copy)]
struct Scale {
    replicas: usize,
    clients: usize,
    images: usize,
    is_long: bool,
}

impl Scale {
    fn chosen() -> Self {
        let Ok(text) = std::env::var("ARCHWAY_FLEET") else {
            return Self {
                replicas: 3,
                clients: 12,
                images: 3,
                is_long: false,
            };
        };
        let numbers: Vec<usize> = text
            .split(',')
            .map(|number| {
                number
                    .parse()
                    .expect("ARCHWAY_FLEET=REPLICAS,CLIENTS,IMAGES")
            })
            .collect();
        let [replicas, clients, images] = numbers[..] else {
            panic!("ARCHWAY_FLEET=REPLICAS,CLIENTS,IMAGES");
        };
        Self {
            replicas,
            clients,
            images,
            is_long: true,
        }
    }
}

/// The rows of one test.
struct Table {
    scale: Scale,
    broken: Vec<String>,
}

impl Table {
    fn new(scale: Scale) -> Self {
        Self {
            scale,
            broken: Vec::new(),
        }
    }

    #[expect(clippy::print_stdout, reason = "the table is for people, on demand")]
    fn row<T: PartialOrd + Display + Copy>(&mut self, what: &str, measured: T, bound: T) {
        let holds = measured <= bound;
        let verdict = if holds { "holds" } else { "BROKEN" };
        println!("| {what} | {measured} | <= {bound} | {verdict} |");
        if !holds && self.scale.is_long {
            self.broken
                .push(format!("{what}: {measured}, and not {bound} at most"));
        }
    }

    /// In milliseconds.
    fn time(&mut self, what: &str, measured: Duration, bound: Duration) {
        let what = format!("{what}, ms");
        self.row(&what, measured.as_millis(), bound.as_millis());
    }

    fn judge(self) {
        assert!(self.broken.is_empty(), "{:#?}", self.broken);
    }
}

/// A registry far away, and its images.
async fn far_away(images: usize) -> (FakeRegistry, Vec<Image>) {
    let registry = FakeRegistry::start().await;
    registry.faults().add(On::all(), Fault::Distance(DISTANCE));
    registry
        .faults()
        .add(On::path("/blobs/"), Fault::Throttle(RATE));
    let images = (0..images)
        .map(|number| Image::new(&format!("v{number}"), image(&format!("shown {number}"))))
        .collect::<Vec<_>>();
    for image in &images {
        registry.push("team/app", &image.tag, &image.content);
    }
    (registry, images)
}

/// The bytes of blobs that went out, in thousandths of those there are.
fn sent_per_mille(registry: &FakeRegistry, images: &[Image]) -> u64 {
    let mut blobs: Vec<&Blob> = images.iter().flat_map(|one| &one.content.blobs).collect();
    blobs.sort_by_key(|blob| blob.digest().to_string());
    blobs.dedup_by_key(|blob| blob.digest());
    let sent = blobs.iter().map(|blob| registry.bytes_of(&blob.digest()));
    let size = blobs.iter().map(|blob| blob.size());
    sent.sum::<u64>() * 1000 / size.sum::<u64>()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_costs_the_upstream_each_byte_once_and_waits_no_longer_than_one_client() {
    let scale = Scale::chosen();
    let mut table = Table::new(scale);
    let (registry, images) = far_away(scale.images).await;
    let alone = Fleet::new(&registry, 1, "").await;
    let one = herd(&Doors::of(&alone), 1, &images).await;
    assert_eq!(one.failures, [""; 0]);
    drop(alone);

    let (registry, images) = far_away(scale.images).await;
    let fleet = Fleet::new(&registry, scale.replicas, "").await;
    let all = herd(&Doors::of(&fleet), scale.clients, &images).await;
    assert_eq!(all.failures, [""; 0]);
    let sent = sent_per_mille(&registry, &images);
    table.row("a herd: bytes of the upstream, per mille", sent, 1010);
    let first = median(one.first_bytes) + Duration::from_millis(10);
    table.time("a herd: first byte, median", median(all.first_bytes), first);
    table.time("a herd: in all", all.took, one.took.mul_f64(1.15));
    table.judge();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_every_replica_is_replaced_no_pull_fails() {
    let scale = Scale::chosen();
    let mut table = Table::new(scale);
    let (registry, images) = far_away(scale.images).await;
    let mut fleet = Fleet::new(&registry, scale.replicas, "").await;
    let doors = Doors::of(&fleet);
    let begun = Instant::now();
    let replace = async {
        for number in 0..scale.replicas {
            doors.close(number).await;
            fleet.replicas[number].terminate();
            fleet.replicas[number].ended().await;
            let own = fleet.addresses[number];
            fleet.replicas[number] = fleet.start(&registry, own).await;
            sees(&fleet.replicas[number], scale.replicas).await;
            doors.open(number, &fleet.replicas[number]);
        }
        begun.elapsed()
    };
    let (all, took) = tokio::join!(herd(&doors, scale.clients, &images), replace);
    println!("pulled for {:?}, replaced within {took:?}", all.took);
    assert_eq!(all.failures, [""; 0]);
    let sent = sent_per_mille(&registry, &images);
    table.row("replaced: bytes of the upstream, per mille", sent, 1020);
    table.judge();
}

/// Downloads of a blob at every replica that is not its owner, of which a part has come.
async fn half_way(fleet: &Fleet, owner: usize, blob: &Blob) -> Vec<Download> {
    let path = blob_path("team/app", blob.digest());
    let begun = fleet.others(owner).into_iter().map(|number| {
        let (client, path) = (fleet.replicas[number].client(), path.clone());
        async move {
            let mut download = client.open(Method::GET, &path).await;
            download.read_to(MIB, blob, 0).await;
            download
        }
    });
    join_all(begun).await
}

/// The longest pause of those who read from an owner to which this is done in the middle, and how often the
/// upstream was asked.
async fn pause_after(name: &str, done: &str) -> (Duration, usize) {
    let scale = Scale::chosen();
    let blob = big(name, 8 * MIB);
    let registry = registry_of(&blob).await;
    registry
        .faults()
        .add(On::path("/blobs/"), Fault::Throttle(RATE));
    let fleet = Fleet::new(&registry, scale.replicas, "parallel = 1").await;
    let owner = fleet.owner(&blob.digest().to_string());
    let downloads = half_way(&fleet, owner, &blob).await;
    signal(&fleet.replicas[owner], done);
    let ends = downloads
        .into_iter()
        .map(|one| one.finish_with_pause(&blob));
    let ends = within_for(Duration::from_mins(2), "all have it", join_all(ends)).await;
    signal(&fleet.replicas[owner], "CONT");
    for (end, _) in &ends {
        assert_eq!(*end, End::Complete(8 * MIB));
    }
    let longest = ends.iter().map(|(_, pause)| *pause).max();
    (longest.expect("somebody"), registry.gets_of(&blob.digest()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_is_stopped_in_mid_fill_costs_its_followers_a_pause() {
    let mut table = Table::new(Scale::chosen());
    let (pause, asked) = pause_after("stopped", "STOP").await;
    table.time(
        "the owner is stopped: longest pause",
        pause,
        Duration::from_secs(3),
    );
    table.row("the owner is stopped: requests", asked, 2);
    table.judge();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_is_killed_in_mid_fill_costs_its_followers_less() {
    let mut table = Table::new(Scale::chosen());
    let (pause, asked) = pause_after("killed", "KILL").await;
    table.time(
        "the owner is killed: longest pause",
        pause,
        Duration::from_millis(300),
    );
    table.row("the owner is killed: requests", asked, 2);
    table.judge();
}

async fn pull_everywhere(fleet: &Fleet, tag: &str) {
    let pulls = fleet.replicas.iter().map(|replica| async move {
        let client: Client = replica.client();
        client.pull("team/app", tag).await
    });
    within_for(Duration::from_mins(2), "everybody pulls", join_all(pulls)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_that_is_cut_in_two_downloads_each_blob_twice_at_most_and_heals() {
    let scale = Scale::chosen();
    let mut table = Table::new(scale);
    let images: Vec<_> = (0..2)
        .map(|number| image(&format!("cut {number}")))
        .collect();
    let registry = FakeRegistry::start().await;
    for (number, image) in images.iter().enumerate() {
        registry.push("team/app", &format!("v{number}"), image);
    }
    let size = scale.replicas.max(4);
    let own = free_addresses(size);
    let between = Between::start(&own).await;
    let each = Each {
        lines: "parallel = 1\ntag_ttl = \"1s\"".to_owned(),
        ..Each::default()
    };
    let fleet = Fleet::at(&registry, between.addresses(), &own, each).await;
    between.begin_anew();
    between.cut(size / 2);
    for replica in &fleet.replicas {
        eventually("each side is alone", async || {
            let there = replica.metric("archway_replica_members").await?;
            (there <= size as u64 - 2).then_some(())
        })
        .await;
    }
    pull_everywhere(&fleet, "v0").await;
    let most = |image: &integration_tests::images::Content| {
        let gets = image
            .blobs
            .iter()
            .map(|blob| registry.gets_of(&blob.digest()));
        gets.max().unwrap_or_default()
    };
    table.row("cut in two: downloads of a blob", most(&images[0]), 2);
    let before = fleet
        .replicas
        .iter()
        .map(|replica| answered(replica, "hello"));
    let before = join_all(before).await;
    between.heal();
    for (replica, before) in std::iter::zip(&fleet.replicas, before) {
        // Every other one twice: what was cut off has broken by then, and is forgotten.
        let rounds = before + 2 * size as u64;
        eventually("all greet each other again", async || {
            (answered(replica, "hello").await >= rounds).then_some(())
        })
        .await;
        sees(replica, size).await;
    }
    pull_everywhere(&fleet, "v1").await;
    table.row("healed: downloads of a blob", most(&images[1]), 1);
    table.judge();
}

async fn tag_at(client: &Client) -> String {
    let answer = client.manifest("team/app", "v1").await.expect(200);
    answer.header("docker-content-digest").to_owned()
}

/// How long after `begun` a tag is where it has `moved` to; from then on it stays.
async fn seen(client: &Client, moved: &str, begun: Instant) -> Duration {
    eventually("the tag has moved here", async || {
        (tag_at(client).await == moved).then_some(())
    })
    .await;
    let after = begun.elapsed();
    for _ in 0..200 {
        assert_eq!(tag_at(client).await, moved, "it went back");
    }
    after
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_that_moves_under_load_is_new_everywhere_within_its_time_and_a_second() {
    let scale = Scale::chosen();
    let mut table = Table::new(scale);
    let (old, new) = (image("moves from"), image("moves to"));
    let registry = FakeRegistry::with("team/app", "v1", &old).await;
    let ttl = Duration::from_secs(2);
    let fleet = Fleet::new(&registry, scale.replicas, "tag_ttl = \"2s\"").await;
    for replica in &fleet.replicas {
        assert_eq!(
            tag_at(&replica.client()).await,
            old.root().digest.to_string()
        );
    }
    registry.push("team/app", "v1", &new);
    let (begun, moved) = (Instant::now(), new.root().digest.to_string());
    let watched = fleet.replicas.iter().map(|replica| {
        let (client, beside, moved) = (replica.client(), replica.client(), &moved);
        async move {
            let load = async {
                loop {
                    tag_at(&beside).await;
                }
            };
            tokio::select! {
                after = seen(&client, moved, begun) => after,
                () = load => unreachable!("it has no end"),
            }
        }
    });
    let slowest = join_all(watched).await.into_iter().max();
    let bound = ttl + Duration::from_secs(1);
    table.time(
        "a tag moves: new at the last replica after",
        slowest.expect("some"),
        bound,
    );
    table.judge();
}
