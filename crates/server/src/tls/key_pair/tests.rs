//! A change of the files is seen, and a bad one changes nothing.

use std::{os::unix::fs::symlink, path::PathBuf};

use config::Flaw;
use tempfile::TempDir;

use super::*;

struct Pem {
    cert: String,
    key: String,
}

fn p256() -> Pem {
    let made = rcgen::generate_simple_self_signed(["archway.test".to_owned()]).unwrap();
    Pem {
        cert: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
    }
}

/// A folder with a `tls.crt` and a `tls.key`.
struct Folder(TempDir);

impl Folder {
    fn with(cert: &str, key: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::write(folder.cert(), cert).unwrap();
        fs::write(folder.key(), key).unwrap();
        folder
    }

    fn cert(&self) -> PathBuf {
        self.0.path().join("tls.crt")
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("tls.key")
    }

    fn load(&self) -> Result<KeyPair, KeyPairError> {
        let (cert, key) = (self.cert(), self.key());
        KeyPair::load(KeyPairFiles { cert, key })
    }

    /// Another file at the same path, as most programs write.
    fn replace(&self, path: &Path, text: &str) {
        let new = self.0.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }
}

#[test]
fn a_change_is_seen_once_and_a_bad_one_changes_nothing() {
    let (first, second) = (p256(), p256());
    let folder = Folder::with(&first.cert, &first.key);
    let pair = folder.load().unwrap();
    let before = pair.current();
    assert_eq!(pair.refresh().unwrap(), Refreshed::Unchanged);

    folder.replace(&folder.key(), &second.key);
    assert!(matches!(pair.refresh().unwrap_err().flaw, Flaw::Mismatch));
    assert!(Arc::ptr_eq(&before, &pair.current()));
    // It is bad until it changes, and says so each time.
    assert!(pair.refresh().is_err());

    folder.replace(&folder.cert(), &second.cert);
    assert_eq!(pair.refresh().unwrap(), Refreshed::Replaced);
    assert_ne!(before.cert, pair.current().cert);
    assert_eq!(pair.refresh().unwrap(), Refreshed::Unchanged);

    let before = pair.current();
    fs::remove_file(folder.key()).unwrap();
    assert!(pair.refresh().is_err());
    assert!(Arc::ptr_eq(&before, &pair.current()));
}

#[test]
fn a_file_that_is_written_over_is_seen() {
    let pem = p256();
    let folder = Folder::with(&pem.cert, &pem.key);
    let pair = folder.load().unwrap();
    fs::write(folder.cert(), format!("# the same\n{}", pem.cert)).unwrap();
    assert_eq!(pair.refresh().unwrap(), Refreshed::Replaced);
}

/// As Kubernetes mounts a secret: the files are links through `..data`, and only that link changes.
#[test]
fn a_link_on_the_way_that_changes_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, pem) in [("..1", p256()), ("..2", p256())] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("tls.crt"), pem.cert).unwrap();
        fs::write(at(version).join("tls.key"), pem.key).unwrap();
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/tls.crt", at("tls.crt")).unwrap();
    symlink("..data/tls.key", at("tls.key")).unwrap();
    let pair = KeyPair::load(KeyPairFiles {
        cert: at("tls.crt"),
        key: at("tls.key"),
    })
    .unwrap();
    let before = pair.current();
    symlink("..2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    assert_eq!(pair.refresh().unwrap(), Refreshed::Replaced);
    assert_ne!(before.cert, pair.current().cert);
}

#[test]
fn a_pair_shows_its_files_and_nothing_of_the_key() {
    let pem = p256();
    let folder = Folder::with(&pem.cert, &pem.key);
    let shown = format!("{:?}", folder.load().unwrap());
    let expected = format!(
        "KeyPair {{ cert: {:?}, key: {:?}, .. }}",
        folder.cert(),
        folder.key()
    );
    assert_eq!(shown, expected);
}
