//! `archway cache du`: the disk usage of a cache by kind and by repository.

use std::{collections::BTreeMap, fmt::Write as _};

use cache::{
    RepoKey,
    inspect::{Contents, FileSystem, Kind},
};
use clap::Args;
use serde::Serialize;
use terminal::table::{Side, Table, size};

use super::{CacheDirectory, DirectoryArgs, Format, kind, note};
use crate::cli::output::{CommandOutput, Failure, json};

const HELP: &str = "\
A blob of several repositories counts once in the total, and as shared in each of them. A running
server locks the index; the table of repositories is then left out.

Exit codes: 0 shown; 2 the configuration is not valid, or there is no such cache.

Example:
  archway cache du --config /etc/archway.toml";

/// Show the disk usage of the cache by kind of blob and by repository
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Du {
    #[command(flatten)]
    args: DirectoryArgs,
}

impl Du {
    pub(super) fn run(&self) -> Result<CommandOutput, Failure> {
        let cache = self.args.open()?;
        let directory = &cache.directory;
        let contents = directory.contents()?;
        let disk = directory.file_system()?;
        let usage = Usage::of(&cache, &contents, disk);
        Ok(match self.args.output {
            Format::Json => CommandOutput::success(json(&usage)),
            Format::Text => CommandOutput::success(usage.text())
                .with_notes(note(contents.unread.as_ref(), "repositories are left out")),
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
    kinds: Vec<KindUsage>,
    repositories: Vec<RepositoryUsage>,
    /// Bytes of blobs of several repositories, each blob counted once.
    shared_bytes: u64,
    /// Bytes of blobs of no repository, as after the loss of the index and its copy. The next
    /// request for such a blob links it again.
    unlinked_bytes: u64,
    staged_bytes: u64,
    index_bytes: u64,
    file_system_bytes: u64,
    file_system_free_bytes: u64,
}

#[derive(Serialize)]
struct KindUsage {
    kind: &'static str,
    blobs: u64,
    bytes: u64,
}

#[derive(Default, Serialize)]
struct RepositoryUsage {
    repository: String,
    tags: u64,
    blobs: u64,
    /// Bytes of blobs of this repository alone.
    own_bytes: u64,
    /// Bytes of blobs of other repositories as well.
    shared_bytes: u64,
}

impl Usage {
    fn of(cache: &CacheDirectory, contents: &Contents, disk: FileSystem) -> Self {
        let directory = &cache.directory;
        let mut usage = Self {
            path: directory.path().display().to_string(),
            index_read: contents.unread.is_none(),
            blobs: 0,
            bytes: 0,
            max_bytes: cache.max_size,
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
            self.kinds.push(KindUsage { kind, blobs, bytes });
        }
    }

    fn count_repositories(&mut self, contents: &Contents) {
        let mut all: BTreeMap<&RepoKey, RepositoryUsage> = BTreeMap::new();
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
            .map(|(key, one)| RepositoryUsage {
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
            "(shared, counted once)".into(),
            blank(),
            blank(),
            blank(),
            size(self.shared_bytes),
        ]);
        table.row([
            "(in no repository)".into(),
            blank(),
            blank(),
            size(self.unlinked_bytes),
            blank(),
        ]);
        table
    }
}
