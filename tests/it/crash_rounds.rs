//! `kill -9` at any moment, again and again, under a load of hits, fills and evictions: the cache opens, holds nothing half, and
//! serves no wrong byte.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use integration_tests::client::{End, blob_path};
use integration_tests::images::{self, BigBlob, Blob};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::{within, within_for};
use manifest_model::{Algorithm, Digest};
use tokio::sync::watch;

/// Kills in `make test`; `make soak` has more.
const ROUNDS: u64 = 60;
/// Names another number of kills.
const ROUNDS_VARIABLE: &str = "ARCHWAY_CRASH_ROUNDS";
const CLIENTS: u64 = 6;
/// The kill comes after fewer steps of the clients than this: a slow machine is given the time they
/// take.
const STEPS: u64 = 16;
/// And at most so long after the last of them, in milliseconds, since much goes on between two
/// steps.
const BETWEEN: u64 = 20;
/// Together twice what the cache may hold.
const SIZES: [u64; 12] = [
    1_000, 70_000, 300_000, 500_000, 800_000, 1_100_000, 1_500_000, 2_000_000, 2_500_000,
    3_000_000, 4_000_000, 5_000_000,
];

/// A sequence that looks random and is the same each time (Steele, Lea and Flood: `SplitMix64`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }
}

/// What the clients of one round have done.
#[derive(Default)]
struct Done {
    /// Answers that began, and bodies that were read as far as they were meant to be.
    steps: u64,
    whole: u64,
}

/// Pulls blobs until the connection breaks; every byte that comes is compared.
async fn load(archway: &Archway, blobs: &[Blob], seed: u64, done: &watch::Sender<Done>) {
    let mut dice = Dice(seed);
    let client = archway.client();
    loop {
        let blob = &blobs[usize::try_from(dice.roll(SIZES.len() as u64)).expect("small")];
        let path = blob_path("team/app", blob.digest());
        let Ok(mut download) = client.try_open(Method::GET, &path).await else {
            return;
        };
        assert_eq!(download.status(), 200);
        done.send_modify(|done| done.steps += 1);
        if dice.roll(4) == 0 {
            let some = blob.size() / 2;
            if !download.try_read_to(some, blob).await {
                return;
            }
            done.send_modify(|done| done.steps += 1);
            continue;
        }
        match download.finish(blob).await {
            End::Complete(bytes) => {
                assert_eq!(bytes, blob.size());
                done.send_modify(|done| {
                    done.steps += 1;
                    done.whole += 1;
                });
            }
            End::Broken(_) => return,
        }
    }
}

/// Everything under `blobs/` is what its name says; everything in `ingest/` can be gone on with.
fn check_files(archway: &Archway, round: u64) {
    for (path, _) in archway.files("blobs") {
        let bytes = std::fs::read(&path).expect("a file nobody removes now");
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("hex");
        let actual = Digest::of(Algorithm::Sha256, &bytes).hex();
        assert_eq!(actual, name, "round {round}: half an entry");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_at_any_moment_leaves_half_an_entry_or_a_wrong_byte() {
    let blobs: Vec<Blob> = SIZES
        .iter()
        .map(|size| BigBlob::new(&format!("blob of {size}"), *size).into())
        .collect();
    let registry = FakeRegistry::start().await;
    registry.push("team/app", "v1", &images::of_blobs(&blobs));
    let mut archway = Setup::in_front_of(&registry)
        .cache("max_size = \"10MB\"")
        .start()
        .await;
    let rounds = std::env::var(ROUNDS_VARIABLE).map_or(ROUNDS, |text| {
        text.parse().expect("ARCHWAY_CRASH_ROUNDS is a number")
    });
    let mut whole = 0;
    let mut dice = Dice(1);
    for round in 0..rounds {
        let (steps, between) = (dice.roll(STEPS), Duration::from_millis(dice.roll(BETWEEN)));
        let (done, mut watched) = watch::channel(Done::default());
        let clients = join_all(
            (0..CLIENTS).map(|client| load(&archway, &blobs, round * CLIENTS + client, &done)),
        );
        let moment = async {
            let reached = watched.wait_for(|done| done.steps >= steps);
            let _ = within("the clients go on", reached).await;
            tokio::time::sleep(between).await;
        };
        // The load has no end of its own before the kill: dropped, its clients leave in the middle,
        // which is a load too.
        tokio::select! {
            _ = clients => {}
            () = moment => {}
        }
        archway.kill();
        whole += done.borrow().whole;
        check_files(&archway, round);
        archway = archway.restart().await;
    }
    assert!(whole > rounds, "hardly anything was pulled whole: {whole}");
    let all = blobs.iter().map(async |blob| {
        let path = blob_path("team/app", blob.digest());
        let download = archway.client().open(Method::GET, &path).await;
        download.finish(blob).await
    });
    let ends = within_for(Duration::from_mins(1), "all blobs", join_all(all)).await;
    let expected: Vec<_> = SIZES.iter().map(|size| End::Complete(*size)).collect();
    assert_eq!(ends, expected);
}
