//! Roots that are prepared with one way past Archway each: each is found, with its fix, and nothing
//! else is.

use std::fs;

use super::*;
use crate::containerd::{CONFIG_TOML, plan::Plan};

const LOCAL: &str = "http://127.0.0.1:5000";
const REMOTE: &str = "http://10.0.0.1:5000";
const ONE_FOLDER: &str = "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\n\
                          config_path = '/etc/containerd/certs.d'\n";
const SPLIT: &str = "version = 3\n[plugins.'io.containerd.cri.v1.images']\n\
                     use_local_image_pull = true\n";
const DEFAULT_FILE: &str = "/etc/containerd/certs.d/_default/hosts.toml";

/// A node that is led to Archway, and what is then done to it.
struct Prepared {
    folder: tempfile::TempDir,
    version: &'static str,
    settings: Settings,
}

fn settings(url: &str) -> Settings {
    Settings {
        mirror: Mirror::parse(url).unwrap(),
        registries: Registries::All(vec!["docker.io".parse().unwrap()]),
        platform: None,
        authority: None,
        fallback: true,
    }
}

impl Prepared {
    fn new(version: &'static str, url: &str, config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = Self {
            folder,
            version,
            settings: settings(url),
        };
        node.put(CONFIG_TOML, config);
        node
    }

    /// The same with Archway's files.
    fn led(version: &'static str, url: &str, config: &str) -> Self {
        let node = Self::new(version, url, config);
        node.apply();
        node
    }

    fn apply(&self) {
        let cri = CriConfig::read(&self.root(), CONFIG_TOML, self.version.parse().ok());
        let plan = Plan::apply(&self.root(), &cri.unwrap(), &self.settings);
        plan.carry_out(&self.root()).unwrap();
    }

    fn root(&self) -> Root {
        Root::new(self.folder.path())
    }

    fn put(&self, path: &str, text: &str) -> &Self {
        let place = self.root().at(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, text).unwrap();
        self
    }

    fn check(&self) -> Check {
        self.check_by(CONFIG_TOML)
    }

    fn check_by(&self, config: &str) -> Check {
        let version = self.version.parse().ok();
        let cri = CriConfig::read(&self.root(), config, version).unwrap();
        Check::of(&self.root(), version, &cri, &self.settings).unwrap()
    }

    /// The one line that is found.
    fn line(&self) -> String {
        one_line(&self.check())
    }
}

fn one_line(check: &Check) -> String {
    let [finding] = &check.findings[..] else {
        panic!("one finding, not {:?}", check.findings);
    };
    let line = finding.to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}

/// Each word is in the line.
fn assert_says(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.contains(word), "`{word}` in: {line}");
    }
}

const APPLY: &str = "run `archway client-config apply containerd`";

#[test]
fn nodes_as_apply_leaves_them_are_all_well() {
    for (version, url, config) in [
        ("2.4", LOCAL, ""),
        ("2.4", LOCAL, SPLIT),
        ("2.4", REMOTE, ONE_FOLDER),
        (
            "1.7",
            LOCAL,
            "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '/etc/containerd/certs.d'\n",
        ),
    ] {
        let check = Prepared::led(version, url, config).check();
        assert_eq!(check.findings, [], "{version} {config}");
        let urls: Vec<_> = check.routes[0]
            .stops
            .iter()
            .map(|stop| stop.url.as_str())
            .collect();
        assert_eq!(urls, [url, "https://registry-1.docker.io"]);
    }
}

#[test]
fn no_config_path() {
    let config = "version = 2\n";
    let node = Prepared::led("1.7", LOCAL, config);
    assert_says(
        &node.line(),
        &[
            "containerd 1.7 reads no hosts.toml, because `config_path` is not set",
            "config_path = \"/etc/containerd/certs.d\"",
            "restart containerd",
        ],
    );
    let check = node.check();
    assert_eq!(check.routes[0].stops.len(), 1, "the registry alone");
    node.put(
        CONFIG_TOML,
        "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry.mirrors.'docker.io']\nendpoint = ['http://x']\n",
    );
    assert_says(
        &node.line(),
        &["mirrors are configured in config.toml itself: take them out"],
    );
}

#[test]
fn a_list_of_folders_that_is_read_as_one_path() {
    let node = Prepared::led("2.4", LOCAL, "");
    fs::remove_dir_all(node.root().at("/etc/containerd/certs.d:")).unwrap();
    assert_says(
        &node.line(),
        &[
            "takes `/etc/containerd/certs.d:/etc/docker/certs.d` for one path",
            APPLY,
            "set `config_path` to /etc/containerd/certs.d",
        ],
    );
}

#[test]
fn a_directory_that_is_empty_or_has_certificates_alone() {
    let node = Prepared::led("2.4", LOCAL, ONE_FOLDER);
    let directory = "/etc/containerd/certs.d/docker.io";
    fs::create_dir(node.root().at(directory)).unwrap();
    assert_says(
        &node.line(),
        &[directory, "no hosts.toml, and hides", APPLY],
    );
    node.put(&format!("{directory}/ca.crt"), "PEM");
    assert_says(&node.line(), &["certificates and no hosts.toml", APPLY]);
    node.apply();
    assert_eq!(node.check().findings, []);
}

#[test]
fn a_broken_file() {
    let node = Prepared::led("2.4", LOCAL, ONE_FOLDER);
    node.put(DEFAULT_FILE, "server = \n");
    assert_says(&node.line(), &[DEFAULT_FILE, "broken in line 1", "mend it"]);
}

#[test]
fn a_capability_that_the_version_does_not_know() {
    let node = Prepared::led("2.1", LOCAL, ONE_FOLDER);
    let text =
        format!("[host.\"{LOCAL}\"]\ncapabilities = [\"pull\", \"resolve\", \"referrers\"]\n");
    node.put(DEFAULT_FILE, &text);
    assert_says(
        &node.line(),
        &[DEFAULT_FILE, "`referrers`", "take that out"],
    );
    let newer = Prepared::led("2.4", LOCAL, ONE_FOLDER);
    newer.put(DEFAULT_FILE, &format!("{text}dial_timeout = \"1s\"\n"));
    assert_eq!(newer.check().findings, []);
}

#[test]
fn a_file_that_is_taken_before_one_that_leads_to_archway() {
    let node = Prepared::new("2.4", LOCAL, SPLIT);
    let theirs = "[host.\"http://theirs\"]\n";
    node.put(DEFAULT_FILE, theirs);
    let hidden = "/etc/docker/certs.d/docker.io/hosts.toml";
    node.put(hidden, &format!("[host.\"{LOCAL}\"]\n"));
    assert_says(
        &node.line(),
        &[DEFAULT_FILE, "is taken before", hidden, APPLY],
    );
    node.apply();
    assert_eq!(node.check().findings, []);
}

#[test]
fn a_file_without_a_host_table_for_containerd_1_6() {
    let config = "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '/etc/containerd/certs.d'\n";
    let node = Prepared::new("1.6", LOCAL, config);
    node.put(DEFAULT_FILE, &format!("server = \"{LOCAL}\"\n"));
    assert_says(
        &node.line(),
        &[
            "containerd 1.6 puts",
            DEFAULT_FILE,
            "no [host] table",
            APPLY,
        ],
    );
    let newer = Prepared::new("1.7", LOCAL, config);
    newer.put(DEFAULT_FILE, &format!("server = \"{LOCAL}\"\n"));
    assert_eq!(newer.check().findings, [], "later ones take it");
}

#[test]
fn a_wait_that_has_no_bound() {
    let config = "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '/etc/containerd/certs.d'\n";
    let old = Prepared::led("1.7", REMOTE, config);
    assert_says(
        &old.line(),
        &[
            "30 s",
            "containerd 1.7 does not know",
            DEFAULT_FILE,
            "update it to 2.1",
        ],
    );
    let new = Prepared::led("2.4", REMOTE, ONE_FOLDER);
    new.put(DEFAULT_FILE, &format!("[host.\"{REMOTE}\"]\n"));
    assert_says(&new.line(), &["has no `dial_timeout`", APPLY]);
}

#[test]
fn an_outgoing_proxy_that_is_not_told_of_archway() {
    let node = Prepared::led("2.4", REMOTE, ONE_FOLDER);
    let path = "/etc/systemd/system/containerd.service.d/proxy.conf";
    let proxied = "[Service]\nEnvironment=HTTP_PROXY=http://proxy:3128";
    node.put(path, proxied);
    assert_says(
        &node.line(),
        &[path, "http://proxy:3128", "add 10.0.0.1 to NO_PROXY"],
    );
    node.put(path, &format!("{proxied} NO_PROXY=10.0.0.0/8\n"));
    assert_eq!(node.check().findings, []);
    let local = Prepared::led("2.4", LOCAL, ONE_FOLDER);
    local.put(path, proxied);
    assert_eq!(local.check().findings, [], "nobody proxies to this machine");
}

#[test]
fn docker_hub_under_a_name_that_is_never_looked_for() {
    let node = Prepared::led("2.4", LOCAL, ONE_FOLDER);
    let path = "/etc/containerd/certs.d/registry-1.docker.io";
    node.put(
        &format!("{path}/hosts.toml"),
        &format!("[host.\"{LOCAL}\"]\n"),
    );
    assert_says(
        &node.line(),
        &[path, "never looked for", "rename it to docker.io"],
    );
}

#[test]
fn a_system_that_writes_the_files_itself() {
    let node = Prepared::led("2.4", LOCAL, ONE_FOLDER);
    node.put("/etc/os-release", "NAME=Bottlerocket\nID=bottlerocket\n");
    assert_says(
        &node.line(),
        &[
            "bottlerocket swaps",
            "use `archway client-config bottlerocket`",
        ],
    );

    let folder = "/var/lib/rancher/k3s/agent/etc/containerd";
    let config = format!("{folder}/config.toml");
    let k3s = Prepared::new("2.4", LOCAL, "");
    k3s.put(
        &config,
        &format!("version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '{folder}/certs.d'\n"),
    );
    k3s.put(
        &format!("{folder}/certs.d/_default/hosts.toml"),
        &format!("[host.\"{LOCAL}\"]\n"),
    );
    assert_says(
        &one_line(&k3s.check_by(&config)),
        &["k3s writes", "use `archway client-config k3s`"],
    );
    let own = format!("mirrors:\n  \"*\":\n    endpoint: [\"{LOCAL}\"]\n");
    k3s.put("/etc/rancher/k3s/registries.yaml", &own);
    assert_eq!(k3s.check_by(&config).findings, [], "from its own settings");
}

#[test]
fn a_fix_on_a_system_that_writes_the_files_is_that_systems() {
    let folder = "/var/lib/rancher/rke2/agent/etc/containerd";
    let config = format!("{folder}/config.toml");
    let rke2 = Prepared::new("2.4", LOCAL, "");
    rke2.put(
        &config,
        &format!("version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '{folder}/certs.d'\n"),
    );
    let text = rke2.check_by(&config).to_string();
    assert_says(
        &text,
        &[
            "nothing leads docker.io to Archway",
            "use `archway client-config rke2`",
        ],
    );
    assert!(!text.contains("apply containerd"), "{text}");

    // All that a pod sees of such a node is the socket.
    let seen = Prepared::new("2.4", LOCAL, "");
    seen.put("/run/k3s/containerd/containerd.sock", "");
    assert_says(
        &seen.check().to_string(),
        &["k3s (or RKE2) writes", "use `archway client-config k3s`"],
    );
}

#[test]
fn the_proxy_of_k3s_is_that_of_its_own_unit() {
    let folder = "/var/lib/rancher/k3s/agent/etc/containerd";
    let config = format!("{folder}/config.toml");
    let k3s = Prepared::new("2.4", REMOTE, "");
    k3s.put(
        &config,
        &format!("version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '{folder}/certs.d'\n"),
    );
    k3s.put(
        &format!("{folder}/certs.d/_default/hosts.toml"),
        &format!("[host.\"{REMOTE}\"]\ndial_timeout = '1s'\n"),
    );
    let own = format!("mirrors:\n  \"*\":\n    endpoint: [\"{REMOTE}\"]\n");
    k3s.put("/etc/rancher/k3s/registries.yaml", &own);
    // Not the unit of a containerd that does not run here.
    k3s.put(
        "/etc/systemd/system/containerd.service",
        "[Service]\nEnvironment=HTTP_PROXY=http://no\n",
    );
    assert_eq!(k3s.check_by(&config).findings, []);
    k3s.put(
        "/etc/systemd/system/k3s.service",
        "[Service]\nEnvironmentFile=-/etc/systemd/system/%N.service.env\n",
    );
    let variables = "/etc/systemd/system/k3s.service.env";
    k3s.put(variables, "HTTP_PROXY=http://proxy:3128\n");
    assert_says(
        &one_line(&k3s.check_by(&config)),
        &[variables, "http://proxy:3128"],
    );
    // What is for containerd alone goes first.
    k3s.put(
        variables,
        "HTTP_PROXY=http://proxy:3128\nCONTAINERD_NO_PROXY=10.0.0.1\n",
    );
    assert_eq!(k3s.check_by(&config).findings, []);
}

#[test]
fn what_is_not_led_or_not_first_or_not_for_all_is_found_too() {
    let nothing = Prepared::new("2.4", LOCAL, ONE_FOLDER);
    assert_says(
        &nothing.line(),
        &["nothing leads docker.io to Archway", APPLY],
    );
    for (text, words) in [
        (
            "[host.\"http://theirs\"]\n".to_owned(),
            ["taken for docker.io", APPLY],
        ),
        (
            format!("[host.\"http://theirs\"]\n[host.\"{LOCAL}\"]\n"),
            ["http://theirs asked before Archway", "first"],
        ),
        (
            format!("server = \"{LOCAL}\"\n[host.\"http://theirs\"]\n"),
            ["http://theirs asked before Archway", "first"],
        ),
        (
            format!("[host.\"{LOCAL}\"]\ncapabilities = [\"pull\"]\n"),
            ["for digests alone", "capabilities"],
        ),
    ] {
        let node = Prepared::new("2.4", LOCAL, ONE_FOLDER);
        node.put(DEFAULT_FILE, &text);
        assert_says(&node.line(), &words);
    }
}

#[test]
fn another_platform_than_was_named_is_found() {
    let mut node = Prepared::led("2.4", LOCAL, ONE_FOLDER);
    node.settings.platform = Some("linux/arm64".parse().unwrap());
    assert_says(
        &node.line(),
        &[
            "names no platform, not linux/arm64",
            "--platform linux/arm64",
        ],
    );
    node.apply();
    assert_eq!(node.check().findings, []);
    // The same, spelled otherwise.
    node.settings.platform = Some("linux/aarch64/v8".parse().unwrap());
    assert_eq!(node.check().findings, []);
}

#[test]
fn a_folder_behind_an_absolute_link_is_the_nodes_own() {
    let node = Prepared::led("2.4", LOCAL, ONE_FOLDER);
    let (folder, real) = ("/etc/containerd/certs.d", "/opt/certs.d");
    fs::create_dir(node.root().at("/opt")).unwrap();
    fs::rename(node.root().at(folder), node.root().at(real)).unwrap();
    std::os::unix::fs::symlink(real, node.root().at(folder)).unwrap();
    let root = node.root();
    let version = node.version.parse().ok();
    let cri = CriConfig::read(&root, CONFIG_TOML, version).unwrap();
    let check = Check::of(&root, version, &cri, &node.settings).unwrap();
    assert_eq!(check.findings, []);
}

#[test]
fn the_route_has_every_place_in_its_order_and_the_reason() {
    let node = Prepared::led("2.4", LOCAL, ONE_FOLDER);
    node.put(
        "/etc/containerd/certs.d/reg.example_5000_/hosts.toml",
        &format!(
            "server = \"https://last.example\"\n[host.\"{LOCAL}\"]\n[host.\"http://second\"]\ncapabilities = [\"pull\"]\n"
        ),
    );
    let text = node.check().to_string();
    let expected = "\
reg.example:5000
  1. http://127.0.0.1:5000: for tags and digests, by /etc/containerd/certs.d/reg.example_5000_/hosts.toml
  2. http://second: for digests alone, by /etc/containerd/certs.d/reg.example_5000_/hosts.toml
  3. https://last.example: `server` of /etc/containerd/certs.d/reg.example_5000_/hosts.toml
";
    assert!(text.contains(expected), "{text}");
}
