//! The files under `config/` that are Archway's are valid.

use super::PairOnDisk;
use crate::{Auth, Config};

const EXAMPLE: &str = include_str!("../../../../config/archway.example.toml");
const ECR: &str = include_str!("../../../../config/ecr.toml");

/// The example with every key it shows switched on: `#key = value` is a key, `# text` is prose.
fn switched_on(example: &str) -> String {
    let lines = example.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if !key.starts_with(' ') => key,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_as_it_is_changes_nothing() {
    let config = Config::parse("archway.example.toml", EXAMPLE).unwrap();
    assert_eq!(config, Config::embedded().unwrap());
}

#[test]
fn the_example_shows_every_key_there_is() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "hunter2").unwrap();
    let file = file.path().to_str().unwrap();
    let pair = PairOnDisk::new();
    let [cert, key] = ["tls.crt", "tls.key"].map(|name| pair.path(name));
    let [cert, key] = [&cert, &key].map(|path| path.to_str().unwrap());
    let text = switched_on(EXAMPLE)
        .replace(
            "{ cert = \"/etc/archway/tls.crt\", key = \"/etc/archway/tls.key\" }",
            &pair.toml(),
        )
        .replace("/run/secrets/hub", file)
        .replace("/etc/archway/tier.key", file)
        .replace("/etc/archway/ca.pem", cert)
        .replace("/etc/archway/client.pem", cert)
        .replace("/etc/archway/client.key", key);
    let config = Config::parse("archway.example.toml", &text).unwrap();
    let shown = switched_on(EXAMPLE).parse().unwrap();
    let printed = config.to_toml().parse().unwrap();
    assert_shown("", &printed, &shown);
}

/// Every key of the one table is in the other.
fn assert_shown(path: &str, printed: &toml::Table, shown: &toml::Table) {
    for (key, value) in printed {
        let path = format!("{path}.{key}");
        let Some(shown) = shown.get(key) else {
            panic!("`{path}` is missing in archway.example.toml");
        };
        let first = |value: &toml::Value| match value {
            toml::Value::Array(values) => values.first().cloned(),
            value => Some(value.clone()),
        };
        // Its keys are networks, which are printed with their prefix.
        if key == "addresses" {
            continue;
        }
        if let (Some(toml::Value::Table(printed)), Some(toml::Value::Table(shown))) =
            (first(value), first(shown))
        {
            assert_shown(&path, &printed, &shown);
        }
    }
}

#[test]
fn the_ecr_example_authenticates_by_the_hosts_name() {
    let config = Config::parse("ecr.toml", ECR).unwrap();
    let host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
        .parse()
        .unwrap();
    let upstream = config.upstreams.find(&host).unwrap();
    let Auth::Ecr(ecr) = &upstream.endpoints[0].auth else {
        panic!("ECR is what the file is for");
    };
    assert_eq!(ecr.region, "eu-west-1");
    assert!(Config::parse("ecr.toml", &switched_on(ECR)).is_ok());
}
