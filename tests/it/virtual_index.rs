//! Names made of other names: an index of images that have a name for each architecture, and the
//! name of one architecture answered from an index. What every replica must agree on, what is
//! refused, and what is never guessed.

mod alias;
mod making;
mod refusals;
mod renewal;

use integration_tests::client::Answer;
use integration_tests::images::{self, Content, Flavor};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;

const SHORT: &str = "tag_ttl = \"50ms\"\nnot_found_ttl = \"50ms\"\n";

/// `team/app:latest` of `team/app:amd64` and `team/app:arm64`.
const BY_TAG: &str = "[[upstream.\"registry.test\".virtual_index]]\n\
    name = \"team/*:latest\"\nsources = [\"team/*:amd64\", \"team/*:arm64\"]\n";

/// `team/image:2.7` of `team/image-linux-amd64:2.7` and `team/image-linux-arm64:2.7`.
const BY_REPOSITORY: &str = "[[upstream.\"registry.test\".virtual_index]]\n\
    name = \"team/*:*\"\nsources = [\"team/*-linux-amd64:*\", \"team/*-linux-arm64:*\"]\n";

/// `team/app:arm64` of `team/app:latest`.
const ALIAS: &str = "[[upstream.\"registry.test\".alias]]\n\
    name = \"team/*:arm64\"\ntarget = \"team/*:latest\"\nplatform = \"linux/arm64\"\n";

fn image(platform: &str) -> Content {
    images::single(platform, platform, Flavor::Oci)
}

fn digest(content: &Content) -> String {
    content.root().digest.to_string()
}

async fn by_tag() -> FakeRegistry {
    let registry = FakeRegistry::with("team/app", "amd64", &image("linux/amd64")).await;
    registry.push("team/app", "arm64", &image("linux/arm64"));
    registry
}

async fn by_repository() -> FakeRegistry {
    let amd64 = image("linux/amd64");
    let registry = FakeRegistry::with("team/image-linux-amd64", "2.7", &amd64).await;
    registry.push("team/image-linux-arm64", "2.7", &image("linux/arm64"));
    registry
}

/// An Archway in front of `registry`, with these lines for its upstream.
async fn front(registry: &FakeRegistry, lines: &str) -> Archway {
    let setup = Setup::in_front_of_with(registry, lines);
    setup.start().await
}

async fn latest(archway: &Archway) -> Answer {
    archway.client().manifest("team/app", "latest").await
}

/// `platform digest` of every entry of an index.
fn entries(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let entries = body["manifests"].as_array().expect("an index");
    let line = |entry: &serde_json::Value| {
        let platform = &entry["platform"];
        let part = |key: &str| platform[key].as_str().unwrap_or_default().to_owned();
        let digest = entry["digest"].as_str().expect("a digest");
        format!(
            "{}/{}{} {digest}",
            part("os"),
            part("architecture"),
            part("variant")
        )
    };
    entries.iter().map(line).collect()
}

/// The platform of every entry of an index.
fn platforms(answer: &Answer) -> Vec<String> {
    let entries = entries(answer).into_iter();
    let platform = |entry: String| entry.split(' ').next().unwrap_or_default().to_owned();
    entries.map(platform).collect()
}
