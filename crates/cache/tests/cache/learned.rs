//! Pulls add weight to a kind at a place, and the weight decays.

use std::time::Duration;

use crate::support::{cache, open};

const LONG: Duration = Duration::from_hours(24 * 365);

async fn learn(cache: &cache::Cache, place: &str, kind: &str) {
    cache
        .learn(place.to_owned(), kind.to_owned(), LONG)
        .await
        .unwrap();
}

fn kinds(cache: &cache::Cache, place: &str, half_life: Duration) -> Vec<String> {
    let learned = cache.learned().kinds(place, half_life).unwrap();
    learned.into_iter().map(|learned| learned.kind).collect()
}

#[tokio::test]
async fn the_most_pulled_comes_first_and_places_are_apart() {
    let (cache, _folder) = cache();
    for (place, kind) in [
        ("a/app", "linux/amd64"),
        ("a/app", "linux/arm64"),
        ("a/app", "linux/arm64"),
        ("a/app2", "linux/s390x"),
        ("a", "linux/riscv64"),
    ] {
        learn(&cache, place, kind).await;
    }
    assert_eq!(kinds(&cache, "a/app", LONG), ["linux/arm64", "linux/amd64"]);
    assert_eq!(kinds(&cache, "a", LONG), ["linux/riscv64"]);
    assert!(kinds(&cache, "a/ap", LONG).is_empty());
}

#[tokio::test]
async fn what_was_learned_survives_a_restart() {
    let (cache, folder) = cache();
    learn(&cache, "a/app", "linux/arm64").await;
    drop(cache);
    let cache = open(&folder, u64::MAX);
    assert_eq!(kinds(&cache, "a/app", LONG), ["linux/arm64"]);
}

#[tokio::test]
async fn a_sweep_keeps_what_has_weight_and_pulls_add_up() {
    let (cache, _folder) = cache();
    learn(&cache, "a/app", "linux/arm64").await;
    cache.sweep_learned(LONG).await.unwrap();
    assert_eq!(kinds(&cache, "a/app", LONG), ["linux/arm64"]);
    for _ in 0..3 {
        learn(&cache, "a/app", "linux/arm64").await;
    }
    let weight = cache.learned().kinds("a/app", LONG).unwrap()[0].weight;
    assert!((weight - 4.0).abs() < 0.01, "{weight}");
}
