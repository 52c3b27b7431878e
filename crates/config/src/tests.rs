//! The configuration as a whole: the meaning of its files, and the reports on mistakes in them.

mod examples;
mod mistakes;
mod round_trip;
mod values;

use std::{fs, path::PathBuf};

use tempfile::TempDir;

/// A certificate and its key, as a listener takes them.
struct PairOnDisk(TempDir);

impl PairOnDisk {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let made = rcgen::generate_simple_self_signed(["archway.test".to_owned()]).unwrap();
        fs::write(folder.path("tls.crt"), made.cert.pem()).unwrap();
        fs::write(folder.path("tls.key"), made.signing_key.serialize_pem()).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn toml(&self) -> String {
        let [cert, key] = ["tls.crt", "tls.key"].map(|name| self.path(name));
        format!("{{ cert = {cert:?}, key = {key:?} }}")
    }
}
