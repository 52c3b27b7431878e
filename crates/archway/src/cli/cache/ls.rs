//! `archway cache ls`: the blobs of a cache, or its tags.

use std::{
    cmp::Reverse,
    collections::HashMap,
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use bytesize::ByteSize;
use cache::{
    RepoKey,
    inspect::{Content, Contents, TaggedManifest},
};
use clap::{Args, ValueEnum};
use manifest_model::Digest;
use serde::Serialize;
use terminal::table::{Side, Table, size};

use super::{DirectoryArgs, Format, kind, note, time};
use crate::cli::output::{CommandOutput, Failure, json};

const HELP: &str = "\
A running server locks the index. The list is then made from the files alone: without repositories
and tags, and with the time of storing as the last use.

Exit codes: 0 listed; 2 the configuration is not valid, or there is no such cache.

Examples:
  archway cache ls --larger 100MiB --sort size
  archway cache ls --tags --repository docker.io/library
  archway cache ls -o json | jq -r '.blobs[].digest'";

/// The tags or repositories named in one line of the table.
const MAX_NAMES_SHOWN: usize = 3;

/// List the stored blobs, or the tags
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Ls {
    #[command(flatten)]
    args: DirectoryArgs,
    /// List only blobs above this size, for example 100MiB
    #[arg(long, value_name = "SIZE", conflicts_with = "tags")]
    larger: Option<ByteSize>,
    /// List only this repository, or all repositories of a host or of a path
    #[arg(long, value_name = "HOST[/NAME]")]
    repository: Option<String>,
    /// List tags instead of blobs
    #[arg(long, conflicts_with = "sort")]
    tags: bool,
    /// Sort order of the blobs
    #[arg(long, value_name = "ORDER", default_value = "used")]
    sort: Order,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Order {
    /// Most recently used first
    Used,
    /// Largest first
    Size,
}

impl Ls {
    pub(super) fn run(&self) -> Result<CommandOutput, Failure> {
        let directory = self.args.open()?.directory;
        let contents = directory.contents()?;
        if let Some(unread) = &contents.unread
            && (self.tags || self.repository.is_some())
        {
            // An empty list would mean that there are none.
            return Err(Failure::unusable(unread));
        }
        Ok(if self.tags {
            self.list_tags(&contents)
        } else {
            self.list_blobs(contents)
        })
    }

    fn list_blobs(&self, mut contents: Contents) -> CommandOutput {
        let mut tags: HashMap<Digest, Vec<&TaggedManifest>> = HashMap::new();
        for tagged in &contents.tags {
            tags.entry(tagged.entry.digest).or_default().push(tagged);
        }
        contents.blobs.retain(|blob| {
            self.larger.is_none_or(|larger| blob.size > larger.0)
                && (self.repository.is_none()
                    || blob.repositories.iter().any(|repo| self.selects(repo)))
        });
        match self.sort {
            Order::Used => contents
                .blobs
                .sort_by_key(|blob| (Reverse(blob.used), blob.digest)),
            Order::Size => contents
                .blobs
                .sort_by_key(|blob| (Reverse(blob.size), blob.digest)),
        }
        let rows = contents
            .blobs
            .iter()
            .map(|blob| BlobRow::of(blob, tags.get(&blob.digest).map_or(&[], Vec::as_slice)));
        let lacking = "repositories and tags are left out, and the last use is the time of storing";
        match self.args.output {
            Format::Json => CommandOutput::success(json(&Blobs {
                index_read: contents.unread.is_none(),
                blobs: rows.collect(),
            })),
            Format::Text => {
                let mut table = Table::new([
                    ("DIGEST", Side::Left),
                    ("SIZE", Side::Right),
                    ("KIND", Side::Left),
                    ("LAST USE", Side::Left),
                    ("MEDIA TYPE", Side::Left),
                    ("FROM", Side::Left),
                ]);
                for row in rows {
                    table.row([
                        row.digest.to_string(),
                        size(row.size),
                        row.kind.into(),
                        row.used.clone(),
                        row.media_type.clone().unwrap_or_else(|| "-".into()),
                        row.names(),
                    ]);
                }
                let notes = note(contents.unread.as_ref(), lacking);
                CommandOutput::success(table.to_string()).with_notes(notes)
            }
        }
    }

    fn list_tags(&self, contents: &Contents) -> CommandOutput {
        let now = SystemTime::now();
        let tags = contents.tags.iter();
        let rows = tags
            .filter(|tagged| self.selects(&tagged.repository))
            .map(|tagged| TagRow::of(tagged, now));
        match self.args.output {
            Format::Json => CommandOutput::success(json(&Tags {
                tags: rows.collect(),
            })),
            Format::Text => {
                let mut table = Table::left(["TAG", "DIGEST", "CONFIRMED", "STORED"]);
                for row in rows {
                    table.row([
                        format!("{}:{}", row.repository, row.tag),
                        row.digest.to_string(),
                        format!(
                            "{} ago",
                            humantime::format_duration(Duration::from_secs(row.age_seconds))
                        ),
                        if row.stored { "yes" } else { "no" }.into(),
                    ]);
                }
                CommandOutput::success(table.to_string())
            }
        }
    }

    /// Whether `--repository` selects this one: by its full name, or by a host or path above it.
    fn selects(&self, repository: &RepoKey) -> bool {
        let Some(wanted) = &self.repository else {
            return true;
        };
        let rest = repository
            .as_str()
            .strip_prefix(wanted.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

#[derive(Serialize)]
struct Blobs {
    /// If false, repositories and tags are absent, and the last use is the time of storing.
    index_read: bool,
    blobs: Vec<BlobRow>,
}

#[derive(Serialize)]
struct BlobRow {
    digest: Digest,
    size: u64,
    kind: &'static str,
    media_type: Option<String>,
    used: String,
    repositories: Vec<String>,
    tags: Vec<String>,
}

#[derive(Serialize)]
struct Tags {
    tags: Vec<TagRow>,
}

#[derive(Serialize)]
struct TagRow {
    repository: String,
    tag: String,
    digest: Digest,
    confirmed: String,
    age_seconds: u64,
    stored: bool,
}

impl BlobRow {
    fn of(blob: &Content, tags: &[&TaggedManifest]) -> Self {
        let tags = tags.iter();
        Self {
            digest: blob.digest,
            size: blob.size,
            kind: kind(blob.kind),
            media_type: blob.media_type.as_ref().map(ToString::to_string),
            used: time(blob.used),
            repositories: blob.repositories.iter().map(ToString::to_string).collect(),
            tags: tags
                .map(|tagged| format!("{}:{}", tagged.repository, tagged.tag))
                .collect(),
        }
    }

    /// Its tags, else its repositories, cut to the length of a line.
    fn names(&self) -> String {
        let all = if self.tags.is_empty() {
            &self.repositories
        } else {
            &self.tags
        };
        let shown = all.iter().take(MAX_NAMES_SHOWN).map(String::as_str);
        let mut text = shown.collect::<Vec<_>>().join(", ");
        if all.len() > MAX_NAMES_SHOWN {
            let _ = write!(text, " and {} more", all.len() - MAX_NAMES_SHOWN);
        }
        text
    }
}

impl TagRow {
    fn of(tagged: &TaggedManifest, now: SystemTime) -> Self {
        let age = now.duration_since(tagged.entry.confirmed);
        Self {
            repository: tagged.repository.to_string(),
            tag: tagged.tag.to_string(),
            digest: tagged.entry.digest,
            confirmed: time(tagged.entry.confirmed),
            age_seconds: age.unwrap_or_default().as_secs(),
            stored: tagged.stored,
        }
    }
}
