//! `archway cache rm`: removes blobs and images by name.

use std::str::FromStr;

use cache::inspect::{Removal, Removed};
use clap::Args;
use manifest_model::ParseError;
use serde::Serialize;

use super::{CacheFormat, DirectoryArgs};
use crate::cli::{
    output::{CommandOutput, Exit, Failure, counted, json},
    table::size,
};

const HELP: &str = "\
A digest is removed from all repositories, with the tags that point at it. A tag is removed with the
manifests and blobs of its image, except for those that another tag, another stored manifest or
another repository needs. Use the names that `archway cache ls` shows.

The next pull fetches removed content from the upstream again.

Exit codes: 0 all removed; 1 a name is not in the cache; 2 nothing could be removed.

Examples:
  archway cache rm docker.io/library/hello-world:latest
  archway cache rm sha256:e692418e4cbaf90ca69d05a66403747baa33ee08806650b51fab815ad7fc331f";

/// Remove blobs and images; needs the directory without a server
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Rm {
    #[command(flatten)]
    args: DirectoryArgs,
    /// Digests, or tags with host and repository
    #[arg(value_name = "DIGEST|HOST/NAME:TAG", required = true)]
    names: Vec<RemovalName>,
}

/// A [`Removal`] and its spelling on the command line.
#[derive(Clone, Debug)]
struct RemovalName {
    text: String,
    removal: Removal,
}

/// Why a text names nothing that could be removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum RemovalNameError {
    #[error("write a digest, or a tag as `archway cache ls --tags` shows it: HOST/NAME:TAG")]
    Form,
    #[error(transparent)]
    Word(#[from] ParseError),
}

impl FromStr for RemovalName {
    type Err = RemovalNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let removal = if text.starts_with("sha256:") || text.starts_with("sha512:") {
            Removal::Blob(text.parse()?)
        } else {
            let (repository, tag) = text
                .rsplit_once(':')
                .filter(|(repository, _)| repository.contains('/'))
                .ok_or(RemovalNameError::Form)?;
            Removal::Tag(repository.parse()?, tag.parse()?)
        };
        Ok(Self {
            text: text.to_owned(),
            removal,
        })
    }
}

impl Rm {
    pub(super) fn run(&self) -> Result<CommandOutput, Failure> {
        let directory = self.args.open()?.directory;
        let removals: Vec<Removal> = self.names.iter().map(|name| name.removal.clone()).collect();
        let removed = directory.own()?.remove(&removals)?;
        let rows: Vec<RemovedRow> = std::iter::zip(&self.names, &removed)
            .map(|(name, removed)| RemovedRow::of(name, removed))
            .collect();
        let exit = if rows.iter().all(|row| row.found) {
            Exit::Success
        } else {
            Exit::Negative
        };
        let (out, err) = match self.args.output {
            CacheFormat::Json => (json(&rows), String::new()),
            CacheFormat::Table => {
                let (found, absent): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.found);
                (lines(&found), lines(&absent))
            }
        };
        Ok(CommandOutput { out, err, exit })
    }
}

#[derive(Serialize)]
struct RemovedRow {
    name: String,
    found: bool,
    tags: Vec<String>,
    blobs: Vec<String>,
    bytes: u64,
}

impl RemovedRow {
    fn of(name: &RemovalName, removed: &Removed) -> Self {
        let (tags, blobs) = (removed.tags.iter(), removed.blobs.iter());
        Self {
            name: name.text.clone(),
            found: !removed.is_empty(),
            tags: tags
                .map(|(repository, tag)| format!("{repository}:{tag}"))
                .collect(),
            blobs: blobs.map(|(digest, _)| digest.to_string()).collect(),
            bytes: removed.blobs.iter().map(|(_, size)| size).sum(),
        }
    }

    fn text(&self) -> String {
        if !self.found {
            return format!("{}: not in the cache", self.name);
        }
        format!(
            "{}: removed {} and {}, {}",
            self.name,
            counted(self.tags.len() as u64, "tag"),
            counted(self.blobs.len() as u64, "blob"),
            size(self.bytes)
        )
    }
}

fn lines(rows: &[&RemovedRow]) -> String {
    rows.iter().map(|row| row.text() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_digest_or_a_tag_with_its_host() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let named = |text: &str| RemovalName::from_str(text).map(|named| named.removal);
        assert_eq!(named(&digest), Ok(Removal::Blob(digest.parse().unwrap())));
        for (text, repository) in [
            ("docker.io/library/hello:v1", "docker.io/library/hello"),
            ("localhost:5000/hello:v1", "localhost:5000/hello"),
        ] {
            let expected = Removal::Tag(repository.parse().unwrap(), "v1".parse().unwrap());
            assert_eq!(named(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "hello:v1",
            "docker.io/hello",
            "sha256:abc",
            "a/b:v 1",
            "a/:v1",
        ] {
            assert!(named(text).is_err(), "{text}");
        }
    }
}
