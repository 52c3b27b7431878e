//! `archway cache rm`

use std::str::FromStr;

use cache::inspect::{Removal, Removed};
use clap::Args;
use serde::Serialize;

use super::{Answer, FOUND, Form, Place, counted, json, not_ours};
use crate::cli::table::size;

const HELP: &str = "\
A digest goes from all repositories, with the tags that point at it. A tag goes with all of its image that no other tag,
no other stored manifest and no other repository needs. Names are those that `ls` shows.
What is gone is asked of the upstream again when a client wants it. No server may run on the directory.
Ends with 1 if something named was not there.

Examples:
  archway cache rm docker.io/library/hello-world:latest
  archway cache rm sha256:e692418e4cbaf90ca69d05a66403747baa33ee08806650b51fab815ad7fc331f";

/// The arguments of `rm`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Rm {
    #[command(flatten)]
    place: Place,
    /// Digests, and tags with their host and repository
    #[arg(value_name = "DIGEST|HOST/NAME:TAG", required = true)]
    names: Vec<Named>,
}

/// A [`Removal`] as text.
#[derive(Debug, Clone)]
struct Named {
    text: String,
    removal: Removal,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let removal = if text.starts_with("sha256:") || text.starts_with("sha512:") {
            Removal::Blob(text.parse().map_err(|error| format!("{error}"))?)
        } else {
            let (repository, tag) = text
                .rsplit_once(':')
                .filter(|(repository, _)| repository.contains('/'))
                .ok_or("write a digest, or a tag as `ls --tags` shows it: HOST/NAME:TAG")?;
            Removal::Tag(
                repository.parse().map_err(|error| format!("{error}"))?,
                tag.parse().map_err(|error| format!("{error}"))?,
            )
        };
        Ok(Self {
            text: text.to_owned(),
            removal,
        })
    }
}

impl Rm {
    pub(super) fn run(&self) -> Result<Answer, Answer> {
        let directory = self.place.find()?.directory;
        let removals: Vec<Removal> = self.names.iter().map(|name| name.removal.clone()).collect();
        let removed = directory
            .own()
            .and_then(|owned| owned.remove(&removals))
            .map_err(|error| not_ours(&error))?;
        let rows: Vec<Row> = std::iter::zip(&self.names, &removed)
            .map(|(name, removed)| Row::of(name, removed))
            .collect();
        let code = if rows.iter().all(|row| row.found) {
            0
        } else {
            FOUND
        };
        let (out, err) = match self.place.output {
            Form::Json => (json(&rows), String::new()),
            Form::Table => {
                let (found, absent): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.found);
                (lines(&found), lines(&absent))
            }
        };
        Ok(Answer { out, err, code })
    }
}

#[derive(Serialize)]
struct Row {
    name: String,
    found: bool,
    tags: Vec<String>,
    blobs: Vec<String>,
    bytes: u64,
}

impl Row {
    fn of(name: &Named, removed: &Removed) -> Self {
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

fn lines(rows: &[&Row]) -> String {
    rows.iter().map(|row| row.text() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_digest_or_a_tag_with_its_host() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let named = |text: &str| Named::from_str(text).map(|named| named.removal);
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
