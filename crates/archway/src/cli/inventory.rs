//! `archway inventory`: what a site has, for the side that makes its bundles.

use std::path::{Path, PathBuf};

use bundle::{INVENTORY_FORMAT, Inventory, NamedDigest};
use cache::{
    ListedBundle, Stage,
    inspect::{Contents, Directory},
};
use clap::Args;
use manifest_model::{Digest, Reference};
use protocol::image_name::ImageName;

use super::{
    bundle::put,
    cache::CachePlace,
    output::{CommandOutput, Failure, counted, in_runtime},
};

const HELP: &str = "\
Digests, names and bundle ids; nothing of clients. `archway bundle export --since site.inv.json` leaves
out what is in it, and `archway bundle diff` compares it with a bundle. An Archway that runs on the
directory is asked, and goes on serving; the files are read by this command, so run it as the user of the
server, or as root.

Exit codes: 0 written; 2 the command could not run.

Example:
  archway inventory -o site.inv.json --config /etc/archway.toml";

/// Write down what the cache holds, for `archway bundle export --since`
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct WriteInventory {
    #[arg(
        help = "The file to write; `-` is standard output",
        short,
        long,
        value_name = "FILE"
    )]
    output: PathBuf,
    #[command(flatten)]
    place: CachePlace,
}

/// The file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
struct Unwritable {
    path: PathBuf,
    source: std::io::Error,
}

impl WriteInventory {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        let directory = self.place.open()?.directory;
        let (contents, bundles) = self.contents(&directory)?;
        // An unfinished one is nothing to build on; what has come of it is among the blobs.
        let bundles = bundles.iter().map(|bundle| &bundle.row);
        let bundles = bundles.filter(|row| row.stage == Stage::Imported);
        let bundles = bundles.map(|row| row.id).collect();
        let inventory = inventory(&contents, bundles);
        let bytes = inventory.to_bytes();
        let summary = format!(
            "{}, {}\n",
            counted(inventory.images.len() as u64, "image"),
            counted(inventory.blobs.len() as u64, "blob")
        );
        if self.output == Path::new("-") {
            let text = String::from_utf8(bytes).expect("JSON is text");
            return Ok(CommandOutput::success(text).with_notes(summary));
        }
        put(&self.output, &bytes).map_err(|source| {
            let path = self.output.clone();
            Failure::unusable(&Unwritable { path, source })
        })?;
        Ok(CommandOutput::success(String::new()).with_notes(summary))
    }

    /// What is stored, and the bundles that brought it.
    fn contents(&self, directory: &Directory) -> Result<(Contents, Vec<ListedBundle>), Failure> {
        let Some(socket) = self.place.running()? else {
            let contents = directory.contents()?;
            // Without the index it would name blobs and no image.
            if let Some(unread) = &contents.unread {
                return Err(Failure::unusable(unread));
            }
            let bundles = directory.bundles();
            let bundles = bundles.map_err(|unread| Failure::unusable(&unread))?;
            return Ok((contents, bundles));
        };
        in_runtime(async {
            // In this order: what came in between is no bundle yet, and its blobs are listed.
            let bundles = socket.bundles().await?;
            let contents = directory.contents_by(socket.contents().await?)?;
            Ok((contents, bundles))
        })
    }
}

fn inventory(contents: &Contents, bundles: Vec<Digest>) -> Inventory {
    let blobs = contents.blobs.iter();
    let tags = contents.tags.iter().filter(|tagged| tagged.stored);
    let images = tags.filter_map(|tagged| {
        let repository = &tagged.repository;
        Some(NamedDigest {
            digest: tagged.entry.digest,
            name: ImageName {
                host: Some(repository.upstream().parse().ok()?),
                repository: repository.name().parse().ok()?,
                reference: Reference::Tag(tagged.tag.clone()),
            },
        })
    });
    Inventory {
        blobs: blobs.map(|blob| (blob.digest, blob.size)).collect(),
        bundles,
        format: INVENTORY_FORMAT.to_owned(),
        images: images.collect(),
    }
}
