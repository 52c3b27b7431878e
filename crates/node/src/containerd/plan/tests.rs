//! Plans carried out in folders of their own: what they write, that `remove` undoes all of it, and
//! that a kill at any call leaves nothing half done.

use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::Path};

use super::*;
use crate::{
    Authority, Mirror, Registries,
    containerd::{HostsFile, Version, directory},
};

const URL: &str = "http://127.0.0.1:5000";
const TWO_FOLDERS: &str = "/etc/containerd/certs.d:/etc/docker/certs.d";

/// A node's file system, with what it was at first.
struct Node {
    _folder: tempfile::TempDir,
    root: Root,
    at_first: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq)]
enum Entry {
    Folder,
    File(String),
    Link(String),
}

impl Node {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        fs::create_dir_all(root.at("/etc/containerd")).unwrap();
        for (path, text) in files {
            let place = root.at(path);
            if path.ends_with('/') {
                fs::create_dir_all(place).unwrap();
            } else {
                fs::create_dir_all(place.parent().unwrap()).unwrap();
                fs::write(place, text).unwrap();
            }
        }
        let at_first = tree(&root);
        Self {
            _folder: folder,
            root,
            at_first,
        }
    }

    fn cri(&self, version: Version) -> CriConfig {
        CriConfig::read(&self.root, "/etc/containerd/config.toml", Some(version)).unwrap()
    }

    fn plan(&self, version: Version) -> Plan {
        Plan::apply(&self.root, &self.cri(version), &settings())
    }

    /// Applies, and sees that a second run has nothing to do.
    fn apply(&self, version: Version) {
        let plan = self.plan(version);
        assert!(plan.faults.is_empty(), "{:?}", plan.faults);
        plan.carry_out(&self.root).unwrap();
        let again = self.plan(version);
        assert!(again.is_done(), "{again:?}");
    }

    fn remove(&self) {
        let plan = removal(&self.root);
        assert!(plan.faults.is_empty(), "{:?}", plan.faults);
        plan.carry_out(&self.root).unwrap();
        assert!(removal(&self.root).is_done());
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.root.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The first place to ask in a directory.
    fn first(&self, directory: &str) -> String {
        let text = self.text(&format!("{directory}/hosts.toml"));
        HostsFile::parse(&text, None).unwrap().hosts[0].url.clone()
    }

    /// As at first, but for the folder that is left.
    fn assert_as_at_first(&self) {
        let mut now = tree(&self.root);
        if !self.at_first.contains_key("/etc/containerd/certs.d") {
            now.remove("/etc/containerd/certs.d");
        }
        assert_eq!(now, self.at_first);
    }
}

impl Plan {
    /// Whether all is as it should be.
    fn is_done(&self) -> bool {
        self.changes.is_empty() && self.faults.is_empty()
    }
}

fn removal(root: &Root) -> Plan {
    Plan::remove(root, Err(ConfigTomlError::VersionNeeded))
}

fn settings() -> Settings {
    Settings {
        mirror: Mirror::parse(URL).unwrap(),
        registries: Registries::All(Vec::new()),
        platform: None,
        authority: None,
        fallback: true,
    }
}

fn tree(root: &Root) -> BTreeMap<String, Entry> {
    let mut found = BTreeMap::new();
    let mut queue = vec![String::new()];
    while let Some(folder) = queue.pop() {
        for name in directory::names(root, &folder).unwrap() {
            let path = format!("{folder}/{name}");
            let place = root.at(&path);
            let entry = if place.is_symlink() {
                Entry::Link(fs::read_link(&place).unwrap().display().to_string())
            } else if place.is_dir() {
                queue.push(path.clone());
                Entry::Folder
            } else {
                Entry::File(fs::read_to_string(&place).unwrap())
            };
            found.insert(path, entry);
        }
    }
    found
}

fn current() -> Version {
    Version::of(2, 4)
}

#[test]
fn an_empty_node_gets_one_file_for_all_and_the_link_that_leads_to_it() {
    let node = Node::new(&[]);
    node.apply(current());
    assert_eq!(node.first("/etc/containerd/certs.d/_default"), URL);
    assert_eq!(node.first(&format!("{TWO_FOLDERS}/_default")), URL);
    let link = fs::read_link(node.root.at(TWO_FOLDERS)).unwrap();
    assert_eq!(link, Path::new("../../../certs.d"));
    node.remove();
    node.assert_as_at_first();
}

#[test]
fn no_link_is_made_where_the_path_is_one_folder_or_is_split() {
    let one = (
        "/etc/containerd/config.toml",
        "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/etc/containerd/certs.d'\n",
    );
    let split = (
        "/etc/containerd/config.toml",
        "version = 3\n[plugins.'io.containerd.cri.v1.images']\nuse_local_image_pull = true\n",
    );
    for config in [one, split] {
        let node = Node::new(&[config]);
        node.apply(current());
        assert!(!node.root.at("/etc/containerd/certs.d:").exists());
        assert_eq!(node.first("/etc/containerd/certs.d/_default"), URL);
        node.remove();
        node.assert_as_at_first();
    }
}

const THEIRS: &str = "\
# Ours since 2023.
server = \"https://registry-1.docker.io\"   # the hub

# the second
[host.\"https://mirror.corp.example\"]
  capabilities = [\"pull\"]
  ca = \"corp.crt\"
";

#[test]
fn files_of_others_get_the_table_first_and_come_back_byte_for_byte() {
    let node = Node::new(&[
        ("/etc/containerd/certs.d/docker.io/hosts.toml", THEIRS),
        ("/etc/containerd/certs.d/docker.io/corp.crt", "PEM"),
        (
            "/etc/containerd/certs.d/_default/hosts.toml",
            "skip_verify = false",
        ),
        ("/etc/containerd/certs.d/empty.example/", ""),
        ("/etc/containerd/certs.d/old.example/hosts.toml", ""),
        ("/etc/containerd/certs.d/certs.example_5000_/ca.crt", "PEM"),
        ("/etc/containerd/certs.d/certs.example_5000_/me.cert", "PEM"),
        ("/etc/containerd/certs.d/certs.example_5000_/me.key", "PEM"),
    ]);
    node.apply(current());
    for directory in [
        "docker.io",
        "_default",
        "empty.example",
        "old.example",
        "certs.example_5000_",
    ] {
        assert_eq!(
            node.first(&format!("/etc/containerd/certs.d/{directory}")),
            URL
        );
    }
    let file = HostsFile::parse(
        &node.text("/etc/containerd/certs.d/docker.io/hosts.toml"),
        None,
    )
    .unwrap();
    assert_eq!(file.hosts[1].url, "https://mirror.corp.example");
    assert_eq!(file.server.as_deref(), Some("https://registry-1.docker.io"));
    let kept = node.text("/etc/containerd/certs.d/certs.example_5000_/hosts.toml");
    assert!(
        kept.contains("ca = [\"ca.crt\"]\nclient = [[\"me.cert\", \"me.key\"]]\n"),
        "{kept}"
    );
    node.remove();
    node.assert_as_at_first();
}

/// `_default` in the first folder would hide every directory of the second.
#[test]
fn directories_of_a_second_folder_are_linked_into_the_first() {
    let node = Node::new(&[
        ("/etc/docker/certs.d/docker.io/hosts.toml", THEIRS),
        ("/etc/docker/certs.d/registry.example:5000/ca.crt", "PEM"),
        ("/etc/docker/certs.d/nothing.example/", ""),
        (
            "/etc/containerd/certs.d/ghcr.io/hosts.toml",
            "server = 'https://ghcr.io'\n",
        ),
    ]);
    node.apply(current());
    for name in ["docker.io", "registry.example:5000"] {
        let path = format!("/etc/containerd/certs.d/{name}");
        let link = fs::read_link(node.root.at(&path)).unwrap();
        assert_eq!(link, Path::new("../../docker/certs.d").join(name));
        assert_eq!(node.first(&path), URL);
    }
    assert!(
        !node
            .root
            .at("/etc/containerd/certs.d/nothing.example")
            .exists()
    );
    node.remove();
    node.assert_as_at_first();
}

/// As seen from a container, `/opt` would be the container's own.
#[test]
fn absolute_links_of_the_node_lead_to_files_below_its_root() {
    let outside = tempfile::tempdir().unwrap();
    let certificates = format!("{}/certs.d", outside.path().display());
    let node = Node::new(&[
        ("/opt/containerd/", ""),
        ("/srv/docker.io/hosts.toml", THEIRS),
    ]);
    fs::remove_dir(node.root.at("/etc/containerd")).unwrap();
    fs::create_dir_all(node.root.at(&format!("{certificates}/ghcr.io"))).unwrap();
    fs::create_dir(node.root.at("/etc/docker")).unwrap();
    for (link, target) in [
        ("/etc/containerd", "/opt/containerd"),
        ("/opt/containerd/certs.d", &certificates),
        ("/etc/docker/certs.d", "/srv"),
    ] {
        symlink(target, node.root.at(link)).unwrap();
    }
    let at_first = tree(&node.root);
    node.apply(current());
    assert!(fs::read_dir(outside.path()).unwrap().next().is_none());
    for path in ["/etc/containerd/certs.d/_default", TWO_FOLDERS] {
        assert!(node.root.has(path), "{path}");
    }
    let linked = node.root.without_links("/etc/containerd/certs.d/docker.io");
    assert_eq!(linked, "/srv/docker.io");
    assert_eq!(node.first(&linked), URL);
    node.remove();
    assert_eq!(tree(&node.root), at_first);
}

#[test]
fn a_link_to_what_is_not_below_the_root_is_a_fault_and_nothing_is_written() {
    let node = Node::new(&[]);
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), node.root.at("/etc/containerd/certs.d")).unwrap();
    let at_first = tree(&node.root);
    let plan = node.plan(Version::of(2, 0));
    let faults: Vec<_> = plan.faults.iter().map(ToString::to_string).collect();
    assert_eq!(plan.changes, []);
    assert!(
        faults[0].starts_with("/etc/containerd/certs.d is behind a link"),
        "{faults:?}"
    );
    assert_eq!(tree(&node.root), at_first);
}

#[test]
fn a_link_of_somebody_else_stays() {
    let node = Node::new(&[("/etc/docker/certs.d/docker.io/hosts.toml", THEIRS)]);
    fs::create_dir_all(node.root.at("/etc/containerd/certs.d")).unwrap();
    let link = node.root.at("/etc/containerd/certs.d/docker.io");
    symlink("../../docker/certs.d/docker.io", link).unwrap();
    let at_first = tree(&node.root);
    node.apply(current());
    node.remove();
    assert_eq!(tree(&node.root), at_first);
}

#[test]
fn named_registries_have_a_directory_each_and_no_other_is_touched() {
    let node = Node::new(&[
        ("/etc/containerd/certs.d/quay.io/hosts.toml", THEIRS),
        (
            "/etc/containerd/certs.d/registry.example:5000/hosts.toml",
            THEIRS,
        ),
    ]);
    let names = ["docker.io", "registry.example:5000", "other.example:1"];
    let three = Settings {
        registries: Registries::Named(names.map(|name| name.parse().unwrap()).to_vec()),
        ..settings()
    };
    let plan = Plan::apply(&node.root, &node.cri(current()), &three);
    plan.carry_out(&node.root).unwrap();
    for name in ["docker.io", "registry.example:5000", "other.example_1_"] {
        assert_eq!(node.first(&format!("/etc/containerd/certs.d/{name}")), URL);
    }
    assert_eq!(
        node.text("/etc/containerd/certs.d/quay.io/hosts.toml"),
        THEIRS
    );
    assert!(!node.root.at("/etc/containerd/certs.d/_default").exists());
    node.remove();
    node.assert_as_at_first();
}

#[test]
fn the_authority_is_there_before_a_file_names_it_and_goes_with_it() {
    let node = Node::new(&[]);
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let secure = Settings {
        mirror: Mirror::parse("https://archway.example").unwrap(),
        authority: Some(Authority::parse(pem).unwrap()),
        ..settings()
    };
    let plan = Plan::apply(&node.root, &node.cri(current()), &secure);
    let write =
        |path: &str| matches!(&plan.changes[0], Change::Write { path: first, .. } if first == path);
    assert!(write("/etc/containerd/archway-ca.crt"), "{plan:?}");
    plan.carry_out(&node.root).unwrap();
    assert_eq!(node.text("/etc/containerd/archway-ca.crt"), pem);
    node.remove();
    node.assert_as_at_first();
}

#[test]
fn a_change_of_settings_replaces_the_block_alone() {
    let node = Node::new(&[("/etc/containerd/certs.d/docker.io/hosts.toml", THEIRS)]);
    node.apply(current());
    let other = Settings {
        mirror: Mirror::parse("http://127.0.0.1:6000").unwrap(),
        ..settings()
    };
    let plan = Plan::apply(&node.root, &node.cri(current()), &other);
    plan.carry_out(&node.root).unwrap();
    assert_eq!(
        node.first("/etc/containerd/certs.d/docker.io"),
        "http://127.0.0.1:6000"
    );
    assert!(
        !node
            .text("/etc/containerd/certs.d/docker.io/hosts.toml")
            .contains(URL)
    );
    node.remove();
    node.assert_as_at_first();
}

#[test]
fn what_others_add_to_a_file_of_ours_stays() {
    let node = Node::new(&[]);
    node.apply(current());
    let path = "/etc/containerd/certs.d/_default/hosts.toml";
    let added = "\n[host.\"https://second.example\"]\n";
    fs::write(node.root.at(path), node.text(path) + added).unwrap();
    node.apply(current());
    node.remove();
    assert_eq!(node.text(path), added);
}

#[test]
fn a_broken_file_is_left_as_it_is_and_the_others_are_done() {
    let broken = "server = \n";
    let node = Node::new(&[("/etc/containerd/certs.d/docker.io/hosts.toml", broken)]);
    let plan = node.plan(current());
    assert_eq!(plan.faults.len(), 1);
    let fault = protocol::error_chain::ErrorChain(&plan.faults[0]).to_string();
    assert!(
        fault.contains("docker.io/hosts.toml is left as it is: it is broken in line 1"),
        "{fault}"
    );
    plan.carry_out(&node.root).unwrap();
    assert_eq!(
        node.text("/etc/containerd/certs.d/docker.io/hosts.toml"),
        broken
    );
    assert_eq!(node.first("/etc/containerd/certs.d/_default"), URL);
}

#[test]
fn a_foreign_tree_at_the_mistaken_path_is_a_fault() {
    let node = Node::new(&[(
        "/etc/containerd/certs.d:/etc/docker/certs.d/x/hosts.toml",
        THEIRS,
    )]);
    let plan = node.plan(current());
    assert!(
        matches!(&plan.faults[..], [PlanError::Foreign(path)] if path == "/etc/containerd/certs.d:")
    );
}

/// Nodes that together make every kind of change.
fn nodes() -> Vec<Node> {
    vec![
        Node::new(&[]),
        Node::new(&[
            ("/etc/containerd/certs.d/docker.io/hosts.toml", THEIRS),
            ("/etc/containerd/certs.d/empty.example/", ""),
            ("/etc/containerd/certs.d/certs.example/ca.crt", "PEM"),
            ("/etc/docker/certs.d/second.example/hosts.toml", THEIRS),
            ("/etc/docker/certs.d/third.example/ca.crt", "PEM"),
        ]),
    ]
}

fn dying_at(call: usize) -> Disk {
    Disk {
        dies_at: Some(call),
        ..Disk::default()
    }
}

/// Every `hosts.toml` by its path is one that was or one that should be; no directory that
/// containerd looks for is there without its file, unless it was before.
fn assert_whole(
    node: &Node,
    before: &BTreeMap<String, Entry>,
    after: &BTreeMap<String, Entry>,
    said: &str,
) {
    for (path, entry) in tree(&node.root) {
        if path.contains("/.archway-") {
            continue;
        }
        let known = [before.get(&path), after.get(&path)];
        let is_known = known.contains(&Some(&entry));
        // A folder of the way there, which is no registry's directory.
        let is_way = path == "/etc/containerd/certs.d";
        assert!(is_known || is_way, "{said}: {path}: {entry:?}");
        let is_directory = path.starts_with("/etc/containerd/certs.d/") && entry == Entry::Folder;
        if is_directory && before.get(&path).is_none() {
            let file = node.root.at(&path).join(HOSTS_TOML);
            assert!(file.exists(), "{said}: {path} is empty");
        }
    }
}

#[test]
fn a_kill_at_any_call_of_apply_leaves_whole_files_and_the_next_run_finishes() {
    for which in 0..nodes().len() {
        let done = nodes().remove(which);
        let counter = Disk::default();
        done.plan(current())
            .carry_out_on(&counter, &done.root)
            .unwrap();
        let (before, after) = (&done.at_first, tree(&done.root));
        assert!(counter.calls.get() > 15, "{}", counter.calls.get());
        for call in 1..=counter.calls.get() {
            let node = nodes().remove(which);
            node.plan(current())
                .carry_out_on(&dying_at(call), &node.root)
                .unwrap_err();
            assert_whole(&node, before, &after, &format!("call {call}"));
            node.apply(current());
            assert_eq!(named(tree(&node.root)), named(after.clone()), "call {call}");
            node.remove();
            node.assert_as_at_first();
        }
    }
}

#[test]
fn a_kill_at_any_call_of_remove_leaves_whole_files_and_the_next_run_finishes() {
    for which in 0..nodes().len() {
        let done = nodes().remove(which);
        done.apply(current());
        let applied = tree(&done.root);
        let counter = Disk::default();
        removal(&done.root)
            .carry_out_on(&counter, &done.root)
            .unwrap();
        for call in 1..=counter.calls.get() {
            let node = nodes().remove(which);
            node.apply(current());
            let plan = removal(&node.root);
            plan.carry_out_on(&dying_at(call), &node.root).unwrap_err();
            assert_whole(&node, &applied, &node.at_first, &format!("call {call}"));
            node.remove();
            node.assert_as_at_first();
        }
    }
}

/// Without what a kill has left aside.
fn named(mut tree: BTreeMap<String, Entry>) -> BTreeMap<String, Entry> {
    tree.retain(|path, _| !path.contains("/.archway-"));
    tree
}

/// containerd uses the certificates of a directory whose file says nothing, and goes on to.
#[test]
fn certificates_beside_an_empty_file_stay_in_use() {
    let directory = "/etc/containerd/certs.d/reg.example";
    let node = Node::new(&[
        (&format!("{directory}/hosts.toml"), ""),
        (&format!("{directory}/ca.crt"), "PEM"),
    ]);
    node.apply("2.4".parse().unwrap());
    let text = node.text(&format!("{directory}/hosts.toml"));
    assert!(text.contains("ca = [\"ca.crt\"]"), "{text}");
    assert_eq!(node.first(directory), URL);
    node.remove();
    node.assert_as_at_first();
}

fn named_registries(names: &[&str]) -> Settings {
    let names = names.iter().map(|name| name.parse().unwrap());
    Settings {
        registries: Registries::Named(names.collect()),
        ..settings()
    }
}

fn apply_for(node: &Node, settings: &Settings) {
    let plan = Plan::apply(&node.root, &node.cri(current()), settings);
    assert!(plan.faults.is_empty(), "{:?}", plan.faults);
    plan.carry_out(&node.root).unwrap();
    assert!(Plan::apply(&node.root, &node.cri(current()), settings).is_done());
}

#[test]
fn another_list_of_registries_takes_away_the_tables_of_the_one_before() {
    let node = Node::new(&[
        ("/etc/containerd/certs.d/quay.io/hosts.toml", THEIRS),
        ("/etc/docker/certs.d/second.example/hosts.toml", THEIRS),
    ]);
    node.apply(current());
    apply_for(&node, &named_registries(&["docker.io", "quay.io"]));
    assert_eq!(node.first("/etc/containerd/certs.d/docker.io"), URL);
    assert_eq!(node.first("/etc/containerd/certs.d/quay.io"), URL);
    for gone in ["_default", "second.example"] {
        let path = format!("/etc/containerd/certs.d/{gone}");
        assert!(!node.root.at(&path).exists(), "{path}");
    }
    let second = "/etc/docker/certs.d/second.example/hosts.toml";
    assert_eq!(node.text(second), THEIRS);
    apply_for(&node, &named_registries(&["docker.io"]));
    assert_eq!(
        node.text("/etc/containerd/certs.d/quay.io/hosts.toml"),
        THEIRS
    );
    node.remove();
    node.assert_as_at_first();
}

/// Configuration management keeps directories elsewhere and links to them.
#[test]
fn a_block_behind_a_link_of_somebody_else_goes_and_the_link_stays() {
    let node = Node::new(&[("/opt/mirrors/docker.io/hosts.toml", THEIRS)]);
    fs::create_dir_all(node.root.at("/etc/containerd/certs.d")).unwrap();
    for name in ["docker.io", "again.example"] {
        let link = node.root.at(&format!("/etc/containerd/certs.d/{name}"));
        symlink("../../../opt/mirrors/docker.io", link).unwrap();
    }
    let at_first = tree(&node.root);
    node.apply(current());
    assert_eq!(node.first("/opt/mirrors/docker.io"), URL);
    node.remove();
    assert_eq!(tree(&node.root), at_first);
}

#[test]
fn a_link_that_leads_out_of_the_nodes_file_system_is_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("hosts.toml"), THEIRS).unwrap();
    let node = Node::new(&[]);
    fs::create_dir_all(node.root.at("/etc/containerd/certs.d")).unwrap();
    let link = node.root.at("/etc/containerd/certs.d/docker.io");
    symlink(outside.path(), link).unwrap();
    let plan = node.plan(current());
    assert!(matches!(&plan.faults[..], [PlanError::Dangling(path)] if path.contains("docker.io")));
    plan.carry_out(&node.root).unwrap();
    assert_eq!(
        fs::read_to_string(outside.path().join("hosts.toml")).unwrap(),
        THEIRS
    );
    assert_eq!(node.first("/etc/containerd/certs.d/_default"), URL);
}

#[test]
fn a_file_that_is_a_link_is_left_as_it_is_and_the_others_are_done() {
    let node = Node::new(&[
        ("/opt/docker.io.toml", THEIRS),
        ("/etc/containerd/certs.d/docker.io/", ""),
    ]);
    let link = node.root.at("/etc/containerd/certs.d/docker.io/hosts.toml");
    symlink("../../../../opt/docker.io.toml", link).unwrap();
    let plan = node.plan(current());
    let is_named = |fault: &PlanError| matches!(fault, PlanError::Linked(path) if path.ends_with("docker.io/hosts.toml"));
    assert!(
        plan.faults.iter().all(is_named) && plan.faults.len() == 1,
        "{plan:?}"
    );
    plan.carry_out(&node.root).unwrap();
    assert_eq!(node.text("/opt/docker.io.toml"), THEIRS);
    assert_eq!(node.first("/etc/containerd/certs.d/_default"), URL);
}

#[test]
fn an_authority_that_a_file_of_others_names_stays() {
    let node = Node::new(&[]);
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let secure = Settings {
        authority: Some(Authority::parse(pem).unwrap()),
        ..settings()
    };
    apply_for(&node, &secure);
    let path = "/etc/containerd/certs.d/_default/hosts.toml";
    let added = "\n[host.\"https://second.example\"]\nca = \"/etc/containerd/archway-ca.crt\"\n";
    fs::write(node.root.at(path), node.text(path) + added).unwrap();
    let plan = removal(&node.root);
    let fault = plan.faults[0].to_string();
    assert!(
        fault.contains("archway-ca.crt stays") && fault.contains("_default/hosts.toml"),
        "{fault}"
    );
    plan.carry_out(&node.root).unwrap();
    assert_eq!(node.text("/etc/containerd/archway-ca.crt"), pem);
    fs::remove_dir_all(node.root.at("/etc/containerd/certs.d")).unwrap();
    node.remove();
    assert!(!node.root.at("/etc/containerd/archway-ca.crt").exists());
}

#[test]
fn a_config_that_cannot_be_read_is_told_of_and_the_folders_of_the_defaults_are_cleared() {
    let node = Node::new(&[]);
    node.apply(current());
    let config = node.root.at("/etc/containerd/config.toml");
    fs::write(config, "version = \n").unwrap();
    let cri = CriConfig::read(&node.root, "/etc/containerd/config.toml", Some(current()));
    let plan = Plan::remove(&node.root, Err(cri.unwrap_err()));
    let fault = protocol::error_chain::ErrorChain(&plan.faults[0]).to_string();
    assert!(fault.contains("config.toml is broken"), "{fault}");
    plan.carry_out(&node.root).unwrap();
    assert!(!node.root.at("/etc/containerd/certs.d/_default").exists());
}
