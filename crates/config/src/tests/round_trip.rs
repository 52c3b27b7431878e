//! `to_toml` is the way back, and no text is a way to a panic.

use proptest::prelude::*;

use super::PairOnDisk;
use crate::{Config, ConfigError};

/// Every key with a value that is not its default.
const EVERYTHING: &str = r#"
default_upstream = "ghcr.io"
parents = ["http://10.100.0.50:5000", "https://shared.example"]
offline = true

[[listener]]
address = "[::]:5000"
platform = "windows(10.0.20348)/amd64"
upstream = "quay.io:8443"
upstreams = ["quay.io:8443", "*.dkr.ecr.eu-west-1.amazonaws.com"]
allow_from = ["10.0.0.0/8", "192.0.2.1", "fd00::/8"]
names = ["mirror.example", "mirror.test:5000"]

[[listener]]
address = "127.0.0.1:0"
platform = "all"
proxy_protocol = true
platform_paths = false

[admin]
address = "off"

[cache]
path = "a \"quoted\" path\\with a backslash"
max_size = "123456789B"
max_fills = 1
max_calls = 5

[bundles]
trusted_keys = ["RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3", "site.pub"]

[tier]
url = "gs://cache/archway"
path_style = true
max_size = "1TiB"
[audit]
path = "audit.log"
rotate = "1MiB"
keep = 9

[platform]
default = "linux/arm/v6"
hosts = { "arm64.mirror.example" = "linux/arm64", "[::1]:5000" = "linux/s390x" }
addresses = { "10.1.0.0/16" = "linux/arm64", "fd00::/8" = "host", "10.2.0.0/16" = "all" }

[platform.kubernetes]
nodes = true
kubeconfig = "/etc/archway/kubeconfig"
pod_cidrs = true
label_selector = "pool=builders"
silent_after = "1h"

[prefetch]
mode = "off"
nodes = true
max_running = 1
half_life = "1d"
hourly_budget = "5MiB"
refresh = "5m"

[replicas]
discover = "dns:archway.test:5003"
listen = "127.0.0.1:5003"
zone = "a"
secret_file = "secret"

[upstream."ghcr.io"]
offline = true
endpoints = ["http://127.0.0.1:22100", "https://ghcr.io"]
hosts = ["hub.mirror.example", "mirror.example:5001"]
allow_repositories = ["team/*", "library/alpine"]
auth = "anonymous"
platform = "linux/riscv64"
resolve = "always"
tag_ttl = "0s"
stale_if_error = "365d"
not_found_ttl = "1500ms"
immutable_tags = ["v*.*.*", "?"]
tag_ttls = { "nightly-*" = "5m", "*" = "0s" }
serve_deleted_tags = true
connect_timeout = "1ms"
header_timeout = "1h 1s"
idle_timeout = "2m"
rate = "5/s"
manifest_rate = "100/6h"
blob_rate = "7/1500ms"
list_rate = "30/1m"
burst = 3
patience = "0s"
hedge_after = "250ms"
private_hosts = ["minio.internal", "10.0.0.7:9000"]

[[upstream."ghcr.io".virtual_index]]
name = "team/*:*"
sources = ["team/*:*-amd64", "team/*-arm64:*"]
platforms = ["linux/amd64", "linux/arm64"]
prefer = "rule"

[[upstream."ghcr.io".virtual_index]]
name = "hello:latest"
sources = ["hello:amd64"]

[[upstream."ghcr.io".alias]]
name = "*:*-arm64"
target = "*:*"
platform = "linux/arm64"
prefer = "rule"
[upstream."ghcr.io".repositories."team/*"]
resolve = "needed"
platform = "linux/s390x"

[upstream."quay.io:8443"]
endpoints = [{ url = "http://10.0.0.7", auth = true }, { url = "https://peer.example", auth = false }, "https://quay.io:8443"]
auth = "docker-config"
resolve = "needed"

[upstream."*.dkr.ecr.*.amazonaws.com"]
auth = "ecr"
pushed_at = true

[upstream."registry.example"]
auth = { ecr = { endpoint = "http://127.0.0.1:22100", region = "eu-west-1" } }

[upstream."public.ecr.aws"]
auth = "ecr-public"

[upstream."ecr-public.aws.com"]
auth = { ecr_public = { endpoint = "http://127.0.0.1:22100", role_arn = "arn:aws:iam::123456789012:role/pull" } }

[upstream."*.dkr.ecr.*.amazonaws.com.cn"]
auth = { ecr = { role_arn = "arn:aws-cn:iam::123456789012:role/team/pull", external_id = "archway-4711" } }

[log]
format = "json"
level = "warn,proxy::pull=debug"
access = false

[server]
shutdown_grace = "0s"
header_timeout = "1s"
max_connections = 1
replay = false
trusted_proxies = ["10.0.0.0/8", "fd00::1/128"]
"#;

#[track_caller]
fn assert_comes_back(text: &str) {
    let config = Config::parse("archway.toml", text).unwrap();
    let printed = config.to_toml();
    assert_eq!(
        Config::parse("printed.toml", &printed).unwrap(),
        config,
        "{printed}"
    );
    assert_eq!(
        Config::parse("printed.toml", &printed).unwrap().to_toml(),
        printed
    );
}

#[test]
fn the_effective_values_read_back_to_an_equal_configuration() {
    assert_comes_back(EVERYTHING);
    assert_comes_back("");
    assert_comes_back("[upstream.\"ghcr.io\"]");
}

#[test]
fn a_login_reads_back_by_its_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "hunter2").unwrap();
    let login = format!(
        "{{ username = \"a \\\"b\\\"\", password_file = \"{}\" }}",
        file.path().display()
    );
    assert_comes_back(&format!("[upstream.\"docker.io\"]\nauth = {login}"));
    // A variable that every process has, whatever it holds.
    let login = "{ username = \"me\", password_env = \"PATH\" }";
    assert_comes_back(&format!("[upstream.\"docker.io\"]\nauth = {login}"));
}

#[test]
fn a_tls_listener_reads_back_by_its_files() {
    let plain = "[[listener]]\naddress = \"127.0.0.1:5000\"";
    let pair = PairOnDisk::new();
    let tls = format!("{plain}\ntls = {}", pair.toml());
    assert_comes_back(&tls);
    let [tls, plain] = [&*tls, plain].map(|text| Config::parse("archway.toml", text).unwrap());
    assert_ne!(tls, plain);
}

#[test]
fn trust_and_a_client_certificate_read_back_by_their_files() {
    let table = "[upstream.\"ghcr.io\"]\n";
    let pair = PairOnDisk::new();
    let [cert, key] = ["tls.crt", "tls.key"].map(|name| pair.path(name));
    let ca = format!("ca_file = {cert:?}\n");
    let client = format!("client_cert_file = {cert:?}\nclient_key_file = {key:?}");
    let plain = Config::parse("archway.toml", table).unwrap();
    for lines in [&ca, &client, &format!("{ca}{client}")] {
        let text = format!("{table}{lines}");
        assert_comes_back(&text);
        assert_ne!(Config::parse("archway.toml", &text).unwrap(), plain);
    }
}

#[test]
fn changing_any_value_changes_the_configuration() {
    let whole = Config::parse("archway.toml", EVERYTHING).unwrap();
    for (at, line) in EVERYTHING
        .lines()
        .enumerate()
        .filter(|(_, line)| line.contains(" = ") && !line.starts_with("address"))
    {
        let without: Vec<_> = EVERYTHING
            .lines()
            .enumerate()
            .filter(|(other, _)| *other != at)
            .map(|(_, line)| line)
            .collect();
        let config = Config::parse("archway.toml", &without.join("\n"));
        assert!(
            config.is_err() || config.unwrap() != whole,
            "{line} has no effect"
        );
    }
}

/// Parses, prints what can be printed, and draws what cannot be parsed.
fn exercise(text: &str) {
    match Config::parse("archway.toml", text) {
        Ok(config) => assert_comes_back(&config.to_toml()),
        Err(ConfigError::Invalid(report)) => {
            assert_ne!(report.to_string() + &report.coloured(), "");
        }
        Err(ConfigError::Read { .. }) => panic!("nothing is read"),
    }
}

proptest! {
    #[test]
    fn no_text_makes_parsing_panic(text in any::<String>()) {
        exercise(&text);
    }

    #[test]
    fn no_value_makes_parsing_panic(line in 0..EVERYTHING.lines().count(), value in any::<String>(), quoted in any::<bool>()) {
        let value = if quoted { toml::Value::from(value).to_string() } else { value };
        let changed = EVERYTHING.lines().enumerate().map(|(at, text)| match text.split_once(" = ") {
            Some((key, _)) if at == line => format!("{key} = {value}\n"),
            _ => format!("{text}\n"),
        });
        exercise(&changed.collect::<String>());
    }

    #[test]
    fn no_cut_makes_parsing_panic(from in 0..EVERYTHING.len(), length in 0..200_usize, put in "\\PC{0,3}") {
        let mut text = EVERYTHING.to_owned();
        text.replace_range(from..(from + length).min(EVERYTHING.len()), &put);
        exercise(&text);
    }
}
