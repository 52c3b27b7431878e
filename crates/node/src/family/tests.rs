//! Every family: its files in `config/clients` (`UPDATE_CLIENT_FILES=1` writes them), what its
//! formats' parsers say of every combination of settings, and what it refuses.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use protocol::host::Host;
use serde_json::{Value, json};

use super::*;
use crate::{Authority, Mirror, Registries};

const PEM: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

fn hosts(names: &[&str]) -> Vec<Host> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn settings(server: &str) -> Settings {
    Settings {
        mirror: Mirror::parse(server).unwrap(),
        registries: Registries::All(hosts(&["docker.io", "ghcr.io"])),
        platform: None,
        authority: None,
        fallback: true,
    }
}

/// The settings of the files in `config/clients`.
fn example(family: Family) -> Settings {
    let server = match family {
        Family::EksAnywhere | Family::Gke => "https://archway.example:5000",
        _ => "http://archway.example:5000",
    };
    let named = [
        "docker.io",
        "ghcr.io",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
    ];
    let registries = match family {
        Family::Podman | Family::Crio | Family::Buildkit | Family::Kaniko => {
            Registries::Named(hosts(&named))
        }
        Family::EksAnywhere | Family::Gke => Registries::Named(hosts(&named)),
        _ => Registries::All(hosts(&named)),
    };
    Settings {
        registries,
        ..settings(server)
    }
}

/// Every combination that a family takes.
fn taken(family: Family) -> Vec<(Settings, ClientFiles)> {
    let mut taken = Vec::new();
    for server in ["http://127.0.0.1:5000", "https://archway.example"] {
        for named in [false, true] {
            for platform in [None, Some("linux/arm64/v8".parse().unwrap())] {
                for authority in [None, Some(Authority::parse(PEM).unwrap())] {
                    for fallback in [true, false] {
                        let mut settings = settings(server);
                        if named {
                            let names = ["ghcr.io", "registry.example:5000"];
                            settings.registries = Registries::Named(hosts(&names));
                        }
                        settings.platform.clone_from(&platform);
                        settings.authority.clone_from(&authority);
                        settings.fallback = fallback;
                        if let Ok(files) = family.files(&settings) {
                            taken.push((settings, files));
                        }
                    }
                }
            }
        }
    }
    taken
}

#[test]
fn the_files_in_config_clients_are_what_the_families_give() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/clients");
    let mut expected = BTreeSet::new();
    for family in Family::ALL {
        for file in family.files(&example(family)).unwrap().files {
            let place = top
                .join(family.name())
                .join(file.path.trim_start_matches('/'));
            if std::env::var_os("UPDATE_CLIENT_FILES").is_some() {
                fs::create_dir_all(place.parent().unwrap()).unwrap();
                fs::write(&place, &file.text).unwrap();
            }
            let there = fs::read_to_string(&place).unwrap_or_default();
            let place = place.display();
            assert_eq!(there, file.text, "{place}: UPDATE_CLIENT_FILES=1 writes it");
            expected.insert(place.to_string());
        }
    }
    let stray: Vec<_> = all_files(&top)
        .into_iter()
        .map(|path| path.display().to_string())
        .filter(|path| !path.ends_with("README.md") && !expected.contains(path))
        .collect();
    assert_eq!(stray, Vec::<String>::new(), "no family gives these");
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(all_files(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn every_file_of_every_combination_is_well_formed() {
    for family in Family::ALL {
        let taken = taken(family);
        assert!(taken.len() >= 4, "{family}: {}", taken.len());
        for (settings, files) in taken {
            for file in files.files {
                let kind = file.path.rsplit('.').next().unwrap();
                let said = format!("{family}, {settings:?}, {}:\n{}", file.path, file.text);
                match kind {
                    "toml" | "conf" => drop(toml_of(&file.text, &said)),
                    "yaml" => drop(yaml(&file.text, &said)),
                    "json" => drop(serde_json::from_str::<Value>(&file.text).expect(&said)),
                    "crt" => assert_eq!(file.text, PEM, "{said}"),
                    "txt" => assert!(file.text.starts_with("MIME-Version: 1.0\n"), "{said}"),
                    _ => panic!("{said}"),
                }
                assert!(file.text.ends_with('\n'), "{said}");
            }
        }
    }
}

fn toml_of(text: &str, said: &str) -> Value {
    let table: toml::Table = text.parse().expect(said);
    serde_json::to_value(table).unwrap()
}

/// All documents of a YAML text.
fn yaml(text: &str, said: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).expect(said)
}

fn only(family: Family, settings: &Settings) -> String {
    let mut files = family.files(settings).unwrap().files;
    assert_eq!(files.len(), 1, "{family}");
    files.remove(0).text
}

fn with_platform(server: &str) -> Settings {
    Settings {
        platform: Some("linux/arm64".parse().unwrap()),
        ..settings(server)
    }
}

fn named(server: &str, names: &[&str]) -> Settings {
    Settings {
        registries: Registries::Named(hosts(names)),
        ..settings(server)
    }
}

#[test]
fn containerd_is_told_the_platform_and_how_long_to_wait_for_a_connection() {
    let text = only(Family::Containerd, &with_platform("http://10.0.0.1:5000"));
    let expected = json!({ "host": { "http://10.0.0.1:5000": {
        "capabilities": ["pull", "resolve"],
        "dial_timeout": "1s",
        "header": { "Archway-Platform": ["linux/arm64"] },
    } } });
    assert_eq!(toml_of(&text, &text), expected);
    let near = only(Family::Containerd, &settings("http://127.0.0.1:5000"));
    assert!(near.contains("dial_timeout = \"200ms\""), "{near}");
}

#[test]
fn containerd_without_a_way_back_has_archway_as_the_server_and_still_a_host() {
    let mut settings = with_platform("http://127.0.0.1:5000");
    settings.fallback = false;
    let text = only(Family::Containerd, &settings);
    let parsed = toml_of(&text, &text);
    assert_eq!(parsed["server"], "http://127.0.0.1:5000");
    let header = json!({ "Archway-Platform": ["linux/arm64"] });
    assert_eq!(parsed["header"], header);
    assert_eq!(parsed["host"]["http://127.0.0.1:5000"]["header"], header);
}

#[test]
fn containerd_has_a_directory_for_each_registry_that_is_named() {
    let settings = named(
        "http://127.0.0.1:5000",
        &["docker.io", "registry.example:5000"],
    );
    let files = Family::Containerd.files(&settings).unwrap().files;
    let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/etc/containerd/certs.d/docker.io/hosts.toml",
            "/etc/containerd/certs.d/registry.example_5000_/hosts.toml",
        ]
    );
}

#[test]
fn a_way_of_its_own_to_name_the_platform_is_in_the_path() {
    let settings = with_platform("http://archway.example:5000");
    for (family, part) in [
        (
            Family::Podman,
            "location = \"archway.example:5000/platform/linux-arm64/docker.io\"",
        ),
        (
            Family::Buildkit,
            "mirrors = [\"archway.example:5000/platform/linux-arm64/docker.io\"]",
        ),
        (
            Family::Kaniko,
            "--registry-map=index.docker.io=archway.example:5000/platform/linux-arm64/docker.io",
        ),
        (
            Family::K3s,
            "- \"http://archway.example:5000/v2/platform/linux-arm64\"",
        ),
        (
            Family::Talos,
            "url: \"http://archway.example:5000/v2/platform/linux-arm64\"",
        ),
    ] {
        let text = only(family, &settings);
        assert!(text.contains(part), "{family}: {text}");
    }
}

#[test]
fn kaniko_never_sees_a_path_that_begins_with_a_registry() {
    let text = only(Family::Kaniko, &settings("http://archway.example:5000"));
    let parsed = yaml(&text, &text).remove(0);
    let arguments = parsed["args"].as_array().unwrap();
    assert_eq!(
        arguments[0],
        "--registry-map=index.docker.io=archway.example:5000/platform/all/docker.io"
    );
    for argument in arguments.iter().filter_map(Value::as_str) {
        let path = argument
            .split_once("archway.example:5000/")
            .map(|(_, path)| path);
        assert!(
            path.is_none_or(|path| path.starts_with("platform/")),
            "{argument}"
        );
    }
}

#[test]
fn insecure_means_plain_http_and_is_never_said_of_tls() {
    for family in [Family::Podman, Family::Crio, Family::Docker, Family::Kaniko] {
        let plain = only(family, &settings("http://archway.example:5000"));
        assert!(plain.contains("insecure"), "{family}: {plain}");
        let tls = only(family, &settings("https://archway.example:5000"));
        assert!(!tls.contains("insecure"), "{family}: {tls}");
    }
}

#[test]
fn what_a_client_has_no_setting_for_is_refused_with_the_way_out() {
    let mut no_fallback = settings("https://archway.example");
    no_fallback.fallback = false;
    let platform = with_platform("https://archway.example");
    let plain = settings("http://archway.example:5000");
    for (family, settings, instead) in [
        (Family::Docker, &platform, "[[listener]] with `platform`"),
        (Family::Docker, &no_fallback, "by the network"),
        (Family::Buildkit, &no_fallback, "by the network"),
        (
            Family::Bottlerocket,
            &platform,
            "[[listener]] with `platform`",
        ),
        (Family::Bottlerocket, &no_fallback, "by the network"),
        (
            Family::EksAnywhere,
            &platform,
            "[[listener]] with `platform`",
        ),
        (Family::EksAnywhere, &no_fallback, "by the network"),
        (Family::EksAnywhere, &plain, "a certificate"),
        (Family::Gke, &no_fallback, "by the network"),
        (Family::Gke, &plain, "a certificate"),
    ] {
        let error = family.files(settings).unwrap_err().to_string();
        assert!(error.contains(instead), "{family}: {error}");
    }
}

#[test]
fn a_family_is_known_by_its_name_alone() {
    for family in Family::ALL {
        assert_eq!(family.name().parse(), Ok(family));
    }
    let error = "Docker".parse::<Family>().unwrap_err().to_string();
    assert!(
        error.contains("`Docker`; there are containerd, docker, "),
        "{error}"
    );
}

#[test]
fn the_script_of_a_node_is_the_same_in_user_data_and_in_the_node_class() {
    let settings = settings("http://127.0.0.1:5000");
    let mime = only(Family::Nodeadm, &settings);
    let patch = only(Family::Karpenter, &settings);
    let patch = yaml(&patch, &patch).remove(0);
    let script = patch["spec"]["userData"].as_str().unwrap();
    assert!(mime.contains(script), "{mime}\n{script}");
}

/// Runs the script in a folder of its own and gives the files it leaves, by containerd's wrong
/// path too.
#[test]
fn the_script_of_a_node_writes_what_containerd_reads_by_either_path() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings("http://127.0.0.1:5000");
    let patch = only(Family::Karpenter, &settings);
    let patch = yaml(&patch, &patch).remove(0);
    let script = patch["spec"]["userData"].as_str().unwrap();
    let script = script.replace("/etc/containerd", &folder.path().display().to_string());
    for _ in 0..2 {
        let run = std::process::Command::new("sh")
            .arg("-c")
            .arg(&script)
            .output();
        let run = run.unwrap();
        assert!(run.status.success(), "{run:?}");
    }
    let expected = containerd::hosts_toml(&settings);
    for path in ["certs.d", "certs.d:/etc/docker/certs.d"] {
        let file = folder.path().join(path).join("_default/hosts.toml");
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            expected,
            "{}",
            file.display()
        );
    }
}
