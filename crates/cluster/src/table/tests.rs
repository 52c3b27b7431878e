use std::time::{Duration, UNIX_EPOCH};

use super::*;

const NOW: SystemTime = UNIX_EPOCH;

fn facts(name: &str, platform: &str, addresses: &[&str], networks: &[&str]) -> NodeFacts {
    NodeFacts {
        name: name.into(),
        platform: platform.parse().ok().map(Arc::new),
        addresses: addresses.iter().map(|one| one.parse().unwrap()).collect(),
        pod_networks: networks.iter().map(|one| one.parse().unwrap()).collect(),
    }
}

fn table(all: &[NodeFacts]) -> NodeTable {
    NodeTable::of(all.iter().cloned(), &NodeTable::default(), NOW)
}

/// The name of the node behind an address, `several` or `unknown`.
fn at(table: &NodeTable, address: &str) -> String {
    match table.at(address.parse().unwrap()) {
        Found::Node(node) => node.name().to_string(),
        Found::Several => "several".to_owned(),
        Found::Unknown => "unknown".to_owned(),
    }
}

fn mixed() -> NodeTable {
    table(&[
        facts(
            "one",
            "linux/amd64",
            &["10.0.0.1", "fd00::1"],
            &["10.244.1.0/24"],
        ),
        facts("two", "linux/arm64", &["10.0.0.2"], &["10.244.2.0/24"]),
    ])
}

#[test]
fn a_node_is_found_by_each_of_its_addresses_and_by_its_pods() {
    let table = mixed();
    for (address, expected) in [
        ("10.0.0.1", "one"),
        ("::ffff:10.0.0.1", "one"),
        ("fd00::1", "one"),
        ("10.0.0.2", "two"),
        ("10.244.2.7", "two"),
        ("10.0.0.3", "unknown"),
        ("10.245.0.1", "unknown"),
    ] {
        assert_eq!(at(&table, address), expected, "{address}");
    }
}

#[test]
fn an_address_that_two_nodes_claim_is_nobodys_until_one_goes() {
    let mut table = mixed();
    let third = facts("three", "linux/arm64", &["10.0.0.1"], &[]);
    assert_eq!(table.apply(third, NOW), Changed::Moved);
    assert_eq!(at(&table, "10.0.0.1"), "several");
    assert_eq!(at(&table, "fd00::1"), "one", "its other address is its own");
    let (address, ..) = table.claimed_twice().unwrap();
    assert_eq!(address.to_string(), "10.0.0.1");
    assert_eq!(table.remove("one"), Changed::Moved);
    assert_eq!(at(&table, "10.0.0.1"), "three");
    assert!(table.claimed_twice().is_none());
}

#[test]
fn a_node_that_goes_leaves_nothing_behind() {
    let mut table = mixed();
    for name in ["one", "two", "two", "never"] {
        table.remove(name);
    }
    assert_eq!(table.len(), 0);
    assert!(table.addresses.is_empty() && table.networks.is_empty() && table.lengths.is_empty());
    assert!(table.counts().is_empty());
}

#[test]
fn news_that_do_not_count_change_nothing_and_what_was_seen_is_kept() {
    let mut table = mixed();
    let Found::Node(one) = table.at("10.0.0.1".parse().unwrap()) else {
        panic!("it is there")
    };
    let later = NOW + Duration::from_hours(2);
    one.note_pull(later);
    let same = facts(
        "one",
        "linux/amd64",
        &["fd00::1", "10.0.0.1"],
        &["10.244.1.0/24"],
    );
    assert_eq!(table.apply(same, later), Changed::Nothing);
    let moved = facts("one", "linux/amd64", &["10.0.0.9"], &[]);
    assert_eq!(table.apply(moved.clone(), later), Changed::Moved);
    let two = facts("two", "linux/arm64", &["10.0.0.2"], &[]);
    let again = NodeTable::of([moved, two], &table, later);
    let hour = Duration::from_hours(1);
    let silent: Vec<_> = again
        .nodes()
        .filter(|node| node.is_silent(later, hour))
        .collect();
    assert_eq!(silent.len(), 1);
    assert_eq!(&**silent[0].name(), "two");
}

#[test]
fn what_no_machine_has_of_its_own_is_no_address_of_a_node() {
    let lies = [
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "::ffff:127.0.0.1",
        "224.0.0.1",
    ];
    let table = table(&[facts(
        "liar",
        "linux/arm64",
        &lies,
        &["0.0.0.0/0", "10.244.3.9/24"],
    )]);
    for address in lies {
        assert_eq!(at(&table, address), "unknown");
    }
    assert_eq!(at(&table, "10.244.3.1"), "liar");
}

#[test]
fn the_census_counts_each_platform_and_has_a_bound() {
    let mut all = vec![
        facts("one", "linux/amd64", &[], &[]),
        facts("two", "linux/arm64", &[], &[]),
        facts("three", "linux/arm64", &[], &[]),
        facts("four", "", &[], &[]),
    ];
    let counts = |table: &NodeTable| -> Vec<String> {
        let counts = table.counts().into_iter();
        counts
            .map(|count| format!("{} {}", count.nodes, count.platform))
            .collect()
    };
    assert_eq!(counts(&table(&all)), ["1 linux/amd64", "2 linux/arm64"]);
    all.extend((0..100).map(|at| facts(&format!("odd{at}"), &format!("linux/odd{at}"), &[], &[])));
    let table = table(&all);
    assert_eq!(table.counts().len(), 32);
    assert_eq!(table.len(), 104, "they are nodes all the same");
}

#[test]
fn there_is_a_most_of_nodes() {
    let many = (0..=MAX_NODES).map(|at| facts(&format!("node{at}"), "linux/arm64", &[], &[]));
    let mut table = NodeTable::of(many, &NodeTable::default(), NOW);
    assert_eq!(table.len(), MAX_NODES);
    let more = facts("more", "linux/arm64", &["10.0.0.1"], &[]);
    assert_eq!(table.apply(more, NOW), Changed::Refused);
    assert_eq!(at(&table, "10.0.0.1"), "unknown");
}
