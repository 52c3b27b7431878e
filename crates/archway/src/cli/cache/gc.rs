//! `archway cache gc`

use clap::Args;
use serde::Serialize;

use super::{Answer, Form, Place, counted, json, not_ours};
use crate::cli::table::size;

const HELP: &str = "\
The files are the truth: rows of the index without a file go, files without a row get one, tags and links that lead to
nothing stored go, and downloads nobody can go on with are deleted. No blob is removed. A damaged or lost index is built
anew. A running server does the same by itself, so this is for a directory it does not run on.

Example:
  archway cache gc --config /etc/archway.toml";

/// The arguments of `gc`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Gc {
    #[command(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct Done {
    /// Whether the index was lost or damaged, and was built from the files.
    index_rebuilt: bool,
    rows_dropped: u64,
    files_recorded: u64,
    tags_dropped: u64,
    links_dropped: u64,
    staged_bytes_deleted: u64,
    index_bytes_freed: u64,
}

impl Gc {
    pub(super) fn run(&self) -> Result<Answer, Answer> {
        let directory = self.place.find()?.directory;
        let (staged, index) = (directory.staged_bytes(), directory.index_size());
        let mut owned = directory.own().map_err(|error| not_ours(&error))?;
        let collected = owned.collect().map_err(|error| not_ours(&error))?;
        let index_rebuilt = owned.index_was_rebuilt();
        drop(owned);
        let done = Done {
            index_rebuilt,
            rows_dropped: collected.rows,
            files_recorded: collected.adopted,
            tags_dropped: collected.tags,
            links_dropped: collected.links,
            staged_bytes_deleted: staged.saturating_sub(directory.staged_bytes()),
            index_bytes_freed: index.saturating_sub(directory.index_size()),
        };
        Ok(match self.place.output {
            Form::Json => Answer::good(json(&done)),
            Form::Table => Answer {
                err: if index_rebuilt {
                    "note: the index was lost or damaged, and was built from the files\n".into()
                } else {
                    String::new()
                },
                ..Answer::good(done.text())
            },
        })
    }
}

impl Done {
    fn text(&self) -> String {
        format!(
            "dropped {} without a file, {} and {} to what is not stored\n\
             recorded {} the index did not know\n\
             deleted {} of downloads nobody goes on with; the index gave back {}\n",
            counted(self.rows_dropped, "row"),
            counted(self.tags_dropped, "tag"),
            counted(self.links_dropped, "link"),
            counted(self.files_recorded, "file"),
            size(self.staged_bytes_deleted),
            size(self.index_bytes_freed)
        )
    }
}
