//! The config file: what is wrong with it is said with line, column and the fix; the shipped ones
//! are right.

use std::path::Path;
use std::process::Output;

use integration_tests::proxy::{Setup, run};

async fn check(text: &str) -> (Output, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wrong.toml");
    std::fs::write(&file, text).expect("a writable folder");
    let path = file.to_str().expect("a plain path");
    let output = run(&["config", "check", path]).await;
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output, said)
}

/// A wrong file, where it is wrong, and what has to be said about it.
const WRONG: [(&str, &str, &[&str]); 12] = [
    (
        "[cache]\nmax_sise = \"1GiB\"\n",
        "2:1",
        &["max_sise", "max_size"],
    ),
    (
        "[cache]\nmax_size = \"lots\"\n",
        "2:12",
        &["max_size", "lots"],
    ),
    ("[cache]\nmax_size = 100\n", "2:12", &["max_size"]),
    (
        "[upstream.\"docker.io\"]\ntag_ttl = \"60\"\n",
        "2:11",
        &["60"],
    ),
    (
        "[upstream.\"docker.io\"]\nresolve = \"sometimes\"\n",
        "2:11",
        &["sometimes", "needed", "explicit", "always"],
    ),
    (
        "[upstream.\"docker.io\"]\nendpoints = [\"ftp://x\"]\n",
        "2:14",
        &["ftp"],
    ),
    (
        "[upstream.\"docker.io\"]\nendpoints = []\n",
        "2:13",
        &["endpoints"],
    ),
    (
        "[[listener]]\naddress = \"nowhere\"\n",
        "2:11",
        &["nowhere"],
    ),
    (
        "[[listener]]\naddress = \"127.0.0.1:0\"\nplatform = \"linux\"\n",
        "3:12",
        &["linux", "linux/"],
    ),
    (
        "[platform]\naddresses = { \"10.1.0.0/99\" = \"linux/arm64\" }\n",
        "2:15",
        &["10.1.0.0/99"],
    ),
    ("[surprise]\nx = 1\n", "1:2", &["surprise"]),
    ("[cache\n", "1:7", &[]),
];

#[tokio::test]
async fn a_wrong_file_is_refused_with_its_place_and_the_fix() {
    let mut complaints = Vec::new();
    for (text, place, words) in WRONG {
        let (output, said) = check(text).await;
        let line = place.split(':').next().expect("a line");
        let code = output.status.code();
        if code != Some(2) {
            complaints.push(format!("exit {code:?} for\n{text}{said}"));
        }
        if !said.contains(&format!("wrong.toml:{place}")) {
            complaints.push(format!(
                "not at wrong.toml:{place} (line {line}):\n{text}{said}"
            ));
        }
        for word in words.iter().filter(|word| !said.contains(**word)) {
            complaints.push(format!("{word:?} is not said:\n{text}{said}"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[tokio::test]
async fn serve_refuses_what_check_refuses() {
    let output = Setup::new()
        .table("[surprise]\nx = 1")
        .run(&["serve", "--config", "CONFIG"])
        .await;
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("surprise"));
}

#[tokio::test]
async fn a_file_that_is_missing_is_named() {
    let output = run(&["config", "check", "/no/such/archway.toml"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/archway.toml"));
}

#[tokio::test]
async fn a_right_file_is_accepted() {
    let output = Setup::new().run(&["config", "check", "CONFIG"]).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn what_print_prints_is_a_config_again() {
    let output = run(&["config", "print"]).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    for key in [
        "max_size",
        "tag_ttl",
        "stale_if_error",
        "resolve",
        "shutdown_grace",
    ] {
        assert!(printed.contains(key), "{key} in\n{printed}");
    }
    for upstream in [
        "docker.io",
        "ghcr.io",
        "quay.io",
        "public.ecr.aws",
        "*.dkr.ecr.*.amazonaws.com",
    ] {
        assert!(
            printed.contains(upstream),
            "{upstream} is reachable without a file:\n{printed}"
        );
    }
    let (output, said) = check(&printed).await;
    assert!(output.status.success(), "{said}\n{printed}");
}

#[tokio::test]
async fn the_shipped_examples_are_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the config folder") {
        let path = entry.expect("a readable folder").path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        count += 1;
        let output = run(&["config", "check", path.to_str().expect("a plain path")]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", path.display());
    }
    assert!(count >= 2, "archway.example.toml and ecr.toml");
}

#[tokio::test]
async fn the_version_is_said() {
    let output = run(&["--version"]).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.starts_with("archway ") && output.status.success(),
        "{said}"
    );
}
