//! `archway cache ls`

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

use super::{Answer, Form, Place, json, kind, note, refused, time};
use crate::cli::table::{Side, Table, size};

const HELP: &str = "\
While a server runs it has the index to itself: then blobs are listed from the files alone, without repositories and tags,
and the last use is the time they were stored.

Examples:
  archway cache ls --larger 100MiB --sort size
  archway cache ls --tags --repository docker.io/library
  archway cache ls -o json | jq -r '.blobs[].digest'";

/// The number of repositories named in one line of the table.
const SHOWN: usize = 3;

/// The arguments of `ls`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Ls {
    #[command(flatten)]
    place: Place,
    /// Only blobs larger than this, for example 100MiB
    #[arg(long, value_name = "SIZE", conflicts_with = "tags")]
    larger: Option<ByteSize>,
    /// Only what this repository links, or all of a host or of a path below it
    #[arg(long, value_name = "HOST[/NAME]")]
    repository: Option<String>,
    /// The tags instead of the blobs
    #[arg(long, conflicts_with = "sort")]
    tags: bool,
    /// The order: last used first, or largest first
    #[arg(long, value_name = "BY", default_value = "used")]
    sort: Order,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Order {
    /// Last used first
    Used,
    /// Largest first
    Size,
}

impl Ls {
    pub(super) fn run(&self) -> Result<Answer, Answer> {
        let directory = self.place.find()?.directory;
        let contents = directory.contents().map_err(|error| refused(&error))?;
        if let Some(unread) = &contents.unread
            && (self.tags || self.repository.is_some())
        {
            // An empty list would mean that there are no tags.
            return Err(refused(unread));
        }
        Ok(if self.tags {
            self.list_tags(&contents)
        } else {
            self.list_blobs(contents)
        })
    }

    fn list_blobs(&self, mut contents: Contents) -> Answer {
        let mut tags: HashMap<Digest, Vec<&TaggedManifest>> = HashMap::new();
        for tagged in &contents.tags {
            tags.entry(tagged.entry.digest).or_default().push(tagged);
        }
        contents.blobs.retain(|blob| {
            self.larger.is_none_or(|larger| blob.size > larger.0)
                && (self.repository.is_none()
                    || blob.repositories.iter().any(|repo| self.means(repo)))
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
        let missing = "repositories and tags are left out, and the last use is the time of storing";
        match self.place.output {
            Form::Json => Answer::good(json(&Blobs {
                index_read: contents.unread.is_none(),
                blobs: rows.collect(),
            })),
            Form::Table => {
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
                        row.last_use.clone(),
                        row.media_type.clone().unwrap_or_else(|| "-".into()),
                        row.from(),
                    ]);
                }
                Answer {
                    err: note(contents.unread.as_ref(), missing),
                    ..Answer::good(table.to_string())
                }
            }
        }
    }

    fn list_tags(&self, contents: &Contents) -> Answer {
        let now = SystemTime::now();
        let tags = contents.tags.iter();
        let rows = tags
            .filter(|tagged| self.means(&tagged.repository))
            .map(|tagged| TagRow::of(tagged, now));
        match self.place.output {
            Form::Json => Answer::good(json(&Tags {
                tags: rows.collect(),
            })),
            Form::Table => {
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
                Answer::good(table.to_string())
            }
        }
    }

    /// Whether `--repository` selects this one: by its full name, or by a prefix that ends at a
    /// slash.
    fn means(&self, repository: &RepoKey) -> bool {
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
    /// If the index was not read, there are no repositories and tags, and the last use is the time
    /// of storing.
    index_read: bool,
    blobs: Vec<BlobRow>,
}

#[derive(Serialize)]
struct BlobRow {
    digest: Digest,
    size: u64,
    kind: &'static str,
    media_type: Option<String>,
    last_use: String,
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
            last_use: time(blob.used),
            repositories: blob.repositories.iter().map(ToString::to_string).collect(),
            tags: tags
                .map(|tagged| format!("{}:{}", tagged.repository, tagged.tag))
                .collect(),
        }
    }

    /// Its tags, else the repositories that link it, as many as fit into a line.
    fn from(&self) -> String {
        let all = if self.tags.is_empty() {
            &self.repositories
        } else {
            &self.tags
        };
        let shown = all.iter().take(SHOWN).map(String::as_str);
        let mut text = shown.collect::<Vec<_>>().join(", ");
        if all.len() > SHOWN {
            let _ = write!(text, " and {} more", all.len() - SHOWN);
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
