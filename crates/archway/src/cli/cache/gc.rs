//! `archway cache gc`: brings index and files of a cache in line.

use clap::Args;
use serde::Serialize;
use terminal::table::size;

use super::{DirectoryArgs, Format};
use crate::cli::output::{CommandOutput, Failure, counted, json};

const HELP: &str = "\
The files are the truth. The command drops index rows without a file, adds rows for files without
one, drops tags and links to manifests and blobs that are not stored, and deletes downloads that can
no longer be resumed. It removes no blob. It rebuilds a damaged or lost index.

A running server does the same by itself, so the command needs a directory without a server.

Exit codes: 0 done; 2 a server has the directory, or the configuration is not valid.

Example:
  archway cache gc --config /etc/archway.toml";

/// Drop stale index entries and abandoned downloads; needs the directory without a server
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Gc {
    #[command(flatten)]
    args: DirectoryArgs,
}

#[derive(Serialize)]
struct CollectedGarbage {
    /// Whether the index was lost or damaged, and has been rebuilt from the files.
    index_rebuilt: bool,
    rows_dropped: u64,
    files_recorded: u64,
    tags_dropped: u64,
    links_dropped: u64,
    staged_bytes_deleted: u64,
    index_bytes_freed: u64,
}

impl Gc {
    pub(super) fn run(&self) -> Result<CommandOutput, Failure> {
        let directory = self.args.open()?.directory;
        let (staged, index) = (directory.staged_bytes(), directory.index_size());
        let mut owned = directory.own()?;
        let collected = owned.collect()?;
        let index_rebuilt = owned.index_was_rebuilt();
        drop(owned);
        let done = CollectedGarbage {
            index_rebuilt,
            rows_dropped: collected.rows,
            files_recorded: collected.adopted,
            tags_dropped: collected.tags,
            links_dropped: collected.links,
            staged_bytes_deleted: staged.saturating_sub(directory.staged_bytes()),
            index_bytes_freed: index.saturating_sub(directory.index_size()),
        };
        Ok(match self.args.output {
            Format::Json => CommandOutput::success(json(&done)),
            Format::Text => CommandOutput::success(done.text()).with_notes(if index_rebuilt {
                "note: the index was lost or damaged; it has been rebuilt from the files\n".into()
            } else {
                String::new()
            }),
        })
    }
}

impl CollectedGarbage {
    fn text(&self) -> String {
        format!(
            "dropped {} without a file, and {} and {} to content that is not stored\n\
             added {} that the index lacked\n\
             deleted {} of abandoned downloads; the index shrank by {}\n",
            counted(self.rows_dropped, "row"),
            counted(self.tags_dropped, "tag"),
            counted(self.links_dropped, "link"),
            counted(self.files_recorded, "file"),
            size(self.staged_bytes_deleted),
            size(self.index_bytes_freed)
        )
    }
}
