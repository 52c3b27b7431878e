//! Signatures of bundles: made in place, checked by the stock tool and asked for at the site.

use std::process::Command;

use super::*;

/// A pair of keys, made by minisign itself.
pub(super) fn key_pair(folder: &Path, name: &str) -> [String; 2] {
    let [key, public] = ["key", "pub"].map(|end| {
        let path = folder.join(format!("{name}.{end}"));
        path.to_str().expect("a plain path").to_owned()
    });
    minisign(&["-G", "-W", "-f", "-p", &public, "-s", &key], folder);
    [key, public]
}

/// Runs minisign, which `tests/tools/install.sh clients` installs.
#[track_caller]
fn minisign(words: &[&str], folder: &Path) -> String {
    let output = Command::new("minisign")
        .args(words)
        .current_dir(folder)
        .output()
        .expect("minisign; tests/tools/install.sh clients installs it");
    said(&output, 0)
}

#[tokio::test]
async fn a_signature_goes_into_its_place_and_the_stock_tool_agrees() {
    let source = Source::new().await;
    let file = source.file("site.tar");
    let path = file.to_str().expect("a plain path");
    said(&source.export(&file, &["--platform", BOTH]).await, 0);
    let unsigned = std::fs::read(&file).expect("it was written");
    let folder = source.folder.path();
    let [key, public] = key_pair(folder, "site");

    let text = said(&run(&["bundle", "sign", path, "--key", &key]).await, 0);
    let signed = std::fs::read(&file).expect("it is there");
    assert_eq!(signed.len(), unsigned.len());
    let changed = std::iter::zip(0.., std::iter::zip(&signed, &unsigned));
    let changed: Vec<usize> = changed
        .filter_map(|(at, (new, old))| (new != old).then_some(at))
        .collect();
    let (first, last) = (changed[0], changed[changed.len() - 1]);
    assert!(last - first < 1024, "{first}..{last}");

    let entries = ["archway/lock.json", "archway/lock.json.minisig"];
    let tar = Command::new("tar")
        .args([&["xf", path], &entries[..]].concat())
        .current_dir(folder)
        .status();
    assert!(tar.expect("tar").success());
    let shown = minisign(&["-V", "-p", &public, "-m", entries[0]], folder);
    let id = text.lines().last().expect("a line").to_owned();
    assert!(
        shown.contains(&format!("Trusted comment: archway {id}")),
        "{shown}"
    );
    let text = said(&run(&["bundle", "verify", path, "--key", &public]).await, 0);
    assert!(text.contains("signed by the key"), "{text}");
    let [_, other] = key_pair(folder, "other");
    let text = said(&run(&["bundle", "verify", path, "--key", &other]).await, 1);
    assert!(text.contains("none of the trusted keys"), "{text}");
}

#[tokio::test]
async fn a_site_with_trusted_keys_takes_what_one_of_them_has_signed() {
    let source = Source::new().await;
    let file = source.file("site.tar");
    let path = file.to_str().expect("a plain path");
    said(&source.export(&file, &["--platform", BOTH]).await, 0);
    let folder = source.folder.path();
    let [key, public] = key_pair(folder, "site");
    let [other_key, other_public] = key_pair(folder, "other");
    // One as a file, one as the line in it.
    let line = std::fs::read_to_string(&other_public).expect("a key");
    let line = line.lines().last().expect("a key").to_owned();
    let table = format!("[bundles]\ntrusted_keys = [\"{public}\", \"{line}\"]\n");
    let registry = FakeRegistry::start().await;
    let mut site = Setup::in_front_of(&registry).table(&table).start().await;
    registry.close().await;
    stop(&mut site).await;

    let text = said(&site.bundle_command(&["import", path]).await, 1);
    assert!(text.contains("is not signed"), "{text}");
    let [stranger, _] = key_pair(folder, "stranger");
    said(&run(&["bundle", "sign", path, "--key", &stranger]).await, 0);
    let text = said(&site.bundle_command(&["import", path]).await, 1);
    assert!(text.contains("none of the trusted keys"), "{text}");
    for key in [key, other_key] {
        said(&run(&["bundle", "sign", path, "--key", &key]).await, 0);
        said(&site.bundle_command(&["import", path]).await, 0);
    }
    said(&run(&["bundle", "sign", path, "--key", &stranger]).await, 0);
    said(
        &site.bundle_command(&["import", path, "--unsigned"]).await,
        0,
    );
}

#[tokio::test]
async fn a_key_that_is_none_is_found_when_the_configuration_is_read() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("site.pub");
    std::fs::write(&file, "no key\n").expect("a writable folder");
    let path = file.to_str().expect("a plain path");
    for key in [path, "/nowhere/site.pub", &format!("RW{}", "x".repeat(54))] {
        let setup = Setup::new().table(&format!("[bundles]\ntrusted_keys = [\"{key}\"]\n"));
        let text = said(&setup.run(&["config", "check", "CONFIG"]).await, 2);
        assert!(text.contains("trusted_keys"), "{text}");
    }
}
