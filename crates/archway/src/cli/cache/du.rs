//! `archway cache du`

use std::{collections::BTreeMap, fmt::Write as _};

use cache::{
    RepoKey,
    inspect::{Contents, FileSystem, Kind},
};
use clap::Args;
use serde::Serialize;

use super::{Answer, Form, Found, Place, json, kind, note, refused};
use crate::cli::table::{Side, Table, size};

const HELP: &str = "\
A blob that several repositories link is counted once in the total, and as shared with each of them.
While a server runs it has the index to itself: then nothing is said of repositories.

Example:
  archway cache du --config /etc/archway.toml";

/// The arguments of `du`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Du {
    #[command(flatten)]
    place: Place,
}

impl Du {
    pub(super) fn run(&self) -> Result<Answer, Answer> {
        let found = self.place.find()?;
        let directory = &found.directory;
        let contents = directory.contents().map_err(|error| refused(&error))?;
        let disk = directory.file_system().map_err(|error| refused(&error))?;
        let usage = Usage::of(&found, &contents, disk);
        Ok(match self.place.output {
            Form::Json => Answer::good(json(&usage)),
            Form::Table => Answer {
                err: note(contents.unread.as_ref(), "repositories are left out"),
                ..Answer::good(usage.text())
            },
        })
    }
}

#[derive(Serialize)]
struct Usage {
    path: String,
    index_read: bool,
    blobs: u64,
    bytes: u64,
    max_bytes: Option<u64>,
    kinds: Vec<OfKind>,
    repositories: Vec<OfRepository>,
    /// Bytes that several repositories link, each blob counted once.
    shared_bytes: u64,
    /// Bytes that no repository links, as after the loss of the index and its snapshot. The next
    /// request for a blob links it again.
    unlinked_bytes: u64,
    staged_bytes: u64,
    index_bytes: u64,
    file_system_bytes: u64,
    file_system_free_bytes: u64,
}

#[derive(Serialize)]
struct OfKind {
    kind: &'static str,
    blobs: u64,
    bytes: u64,
}

#[derive(Default, Serialize)]
struct OfRepository {
    repository: String,
    tags: u64,
    blobs: u64,
    /// Bytes that only this one links.
    own_bytes: u64,
    /// Bytes that others link too.
    shared_bytes: u64,
}

impl Usage {
    fn of(found: &Found, contents: &Contents, disk: FileSystem) -> Self {
        let directory = &found.directory;
        let mut usage = Self {
            path: directory.path().display().to_string(),
            index_read: contents.unread.is_none(),
            blobs: 0,
            bytes: 0,
            max_bytes: found.max_size,
            kinds: Vec::new(),
            repositories: Vec::new(),
            shared_bytes: 0,
            unlinked_bytes: 0,
            staged_bytes: directory.staged_bytes(),
            index_bytes: directory.index_size(),
            file_system_bytes: disk.total,
            file_system_free_bytes: disk.free,
        };
        usage.count_kinds(contents);
        if usage.index_read {
            usage.count_repositories(contents);
        }
        usage
    }

    fn count_kinds(&mut self, contents: &Contents) {
        let kinds = [Kind::Index, Kind::Manifest, Kind::Blob];
        for of in kinds {
            let blobs = contents.blobs.iter().filter(|blob| blob.kind == of);
            let (blobs, bytes) = blobs.fold((0, 0), |(blobs, bytes), blob| {
                (blobs + 1, bytes + blob.size)
            });
            self.blobs += blobs;
            self.bytes += bytes;
            let kind = kind(of);
            self.kinds.push(OfKind { kind, blobs, bytes });
        }
    }

    fn count_repositories(&mut self, contents: &Contents) {
        let mut all: BTreeMap<&RepoKey, OfRepository> = BTreeMap::new();
        for blob in &contents.blobs {
            match blob.repositories.len() {
                0 => self.unlinked_bytes += blob.size,
                1 => {}
                _ => self.shared_bytes += blob.size,
            }
            for repository in &blob.repositories {
                let one = all.entry(repository).or_default();
                one.blobs += 1;
                if blob.repositories.len() == 1 {
                    one.own_bytes += blob.size;
                } else {
                    one.shared_bytes += blob.size;
                }
            }
        }
        for tagged in &contents.tags {
            all.entry(&tagged.repository).or_default().tags += 1;
        }
        self.repositories = all
            .into_iter()
            .map(|(key, one)| OfRepository {
                repository: key.to_string(),
                ..one
            })
            .collect();
    }

    fn text(&self) -> String {
        let mut kinds = Table::new([
            ("KIND", Side::Left),
            ("BLOBS", Side::Right),
            ("SIZE", Side::Right),
        ]);
        for one in &self.kinds {
            kinds.row([one.kind.into(), one.blobs.to_string(), size(one.bytes)]);
        }
        kinds.row(["total".into(), self.blobs.to_string(), size(self.bytes)]);
        let mut text = format!("{kinds}\n");
        if self.index_read {
            let _ = writeln!(text, "{}", self.repository_table());
        }
        let max = self.max_bytes.map_or_else(String::new, |max| {
            format!(" of {} (cache.max_size)", size(max))
        });
        let _ = writeln!(text, "used       {}{max}", size(self.bytes));
        let _ = writeln!(text, "downloads  {}", size(self.staged_bytes));
        let _ = writeln!(text, "index      {}", size(self.index_bytes));
        let (free, total) = (self.file_system_free_bytes, self.file_system_bytes);
        let _ = writeln!(text, "free       {} of {}", size(free), size(total));
        text
    }

    fn repository_table(&self) -> Table<5> {
        let mut table = Table::new([
            ("REPOSITORY", Side::Left),
            ("TAGS", Side::Right),
            ("BLOBS", Side::Right),
            ("OWN", Side::Right),
            ("SHARED", Side::Right),
        ]);
        for one in &self.repositories {
            table.row([
                one.repository.clone(),
                one.tags.to_string(),
                one.blobs.to_string(),
                size(one.own_bytes),
                size(one.shared_bytes),
            ]);
        }
        let blank = String::new;
        table.row([
            "(shared by several, once)".into(),
            blank(),
            blank(),
            blank(),
            size(self.shared_bytes),
        ]);
        table.row([
            "(linked by none)".into(),
            blank(),
            blank(),
            size(self.unlinked_bytes),
            blank(),
        ]);
        table
    }
}
