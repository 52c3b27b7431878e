//! `[bundles]`: whose bundles are imported, and from where.

use std::path::{Path, PathBuf};

use bundle::PublicKey;
use serde::{Serialize, Serializer};
use toml::Spanned;

use crate::{
    meaning::{Meaning, Wrong},
    problem::{Problem, Problems},
    table::Table,
};

/// The characters of a public key on a line.
const KEY_CHARACTERS: usize = 56;

/// Whose bundles are imported, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BundlesConfig {
    /// The folder from which bundles are imported by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbox: Option<PathBuf>,
    /// The keys one of which must have signed a bundle; none means that no signature is needed.
    pub trusted_keys: Vec<TrustedKey>,
}

/// A public key of minisign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustedKey {
    /// The key itself, a line of base64.
    Line(String),
    /// The file it is in, as `minisign -G` writes it.
    File(PathBuf),
}

impl BundlesConfig {
    pub(crate) fn read(table: &mut Table<'_>) -> Self {
        let inbox = table.take("inbox");
        let keys = table.spanned_list("trusted_keys").into_iter();
        let problems = table.problems;
        Self {
            inbox,
            trusted_keys: keys.map(|key| checked(key, problems)).collect(),
        }
    }
}

impl Serialize for TrustedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Line(line) => serializer.serialize_str(line),
            Self::File(path) => path.serialize(serializer),
        }
    }
}

impl Meaning for TrustedKey {
    const WHAT: &'static str = "a public key of minisign, or the path of a file with one";
    const EXAMPLE: &'static str = "\"/etc/archway/site.pub\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text.parse::<PublicKey>().is_ok() {
            return Ok(Self::Line(text.to_owned()));
        }
        if text.len() == KEY_CHARACTERS && text.starts_with("RW") {
            return Err(Wrong::new("this looks like a key and is none"));
        }
        PathBuf::read(text).map(Self::File)
    }

    fn placed(self, folder: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(path.placed(folder)),
            line @ Self::Line(_) => line,
        }
    }
}

/// Reads the file of a key at start, so that a wrong path does not wait for the first import.
fn checked(key: Spanned<TrustedKey>, problems: &Problems) -> TrustedKey {
    let (span, key) = (key.span(), key.into_inner());
    if let TrustedKey::File(path) = &key {
        let path = path.clone();
        problems.check_later(move || {
            let label = flaw(&path)?;
            let problem = Problem::new(span, "`trusted_keys` names a file without a public key");
            let help = "name the .pub file that `minisign -G` writes, or put its second line here";
            Some(problem.label(label).help(help))
        });
    }
    key
}

fn flaw(path: &Path) -> Option<String> {
    match std::fs::read_to_string(path) {
        Err(error) => Some(error.to_string()),
        Ok(text) => text
            .parse::<PublicKey>()
            .err()
            .map(|_| "no public key of minisign in here".to_owned()),
    }
}
