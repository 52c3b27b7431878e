//! `archway bundle diff`: what changes from one bundle or inventory to another.

use std::{fmt::Write as _, fs, path::Path, path::PathBuf};

use bundle::{BundleFiles, Difference, FilesError, Holding, Inventory, MAX_LOCK_BYTES, read_lock};
use clap::Args;
use serde_json::json;
use terminal::{
    format::Format,
    table::{printable, size},
};

use crate::cli::output::{CommandOutput, Exit, Failure, counted, json as to_json};

const HELP: &str = "\
Each of the two is a bundle, or a lock by itself. What a bundle builds on counts as its own: the bytes
are those that a bundle like the second would carry to a site that has the first.

Exit codes: 0 both name the same images; 1 they differ; 2 a file cannot be read.

Examples:
  archway bundle diff old.tar new.tar
  archway bundle diff old.lock.json new.tar -o json";

/// Show what changes from one bundle to another
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Diff {
    /// What was there before
    #[arg(value_name = "A")]
    old: PathBuf,
    /// What is there after
    #[arg(value_name = "B")]
    new: PathBuf,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
}

impl Diff {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        let read = |path| holding(path).map_err(|error| Failure::unusable(&error));
        let (old, new) = (read(&self.old)?, read(&self.new)?);
        let difference = Difference::between(&old, &new);
        let text = match self.output {
            Format::Text => text(&difference),
            Format::Json => json(&difference),
        };
        let exit = if difference.is_empty() {
            Exit::Success
        } else {
            Exit::Negative
        };
        Ok(CommandOutput::new(text, exit))
    }
}

fn holding(path: &Path) -> Result<Holding, FilesError> {
    Ok(match Described::read(path)? {
        Described::Lock(bundle) => Holding::from(bundle.lock()),
        Described::Inventory(inventory) => Holding::from(&*inventory),
    })
}

/// A file that says what a bundle or a site holds.
pub(super) enum Described {
    /// A bundle, one of its parts with the lock, or a lock.
    Lock(Box<bundle::Bundle>),
    /// An inventory.
    Inventory(Box<Inventory>),
}

impl Described {
    /// Tells by the first byte: a tar begins with a name, JSON with a brace.
    pub(super) fn read(path: &Path) -> Result<Self, FilesError> {
        let open_error = |source| FilesError::Open {
            path: path.to_owned(),
            source,
        };
        let mut first = [0];
        let mut file = fs::File::open(path).map_err(open_error)?;
        std::io::Read::read(&mut file, &mut first).map_err(open_error)?;
        if first != *b"{" {
            let groups = BundleFiles::group(&[path.to_owned()])?;
            let whole = || BundleFiles::Whole(path.to_owned());
            let files = groups.into_iter().next().unwrap_or_else(whole);
            return Ok(Self::Lock(Box::new(files.open()?.bundle)));
        }
        if file.metadata().map_err(open_error)?.len() > MAX_LOCK_BYTES {
            // Too much to read for either.
            return Ok(Self::Lock(Box::new(read_lock(path)?)));
        }
        match Inventory::parse(&fs::read(path).map_err(open_error)?) {
            Ok(inventory) => Ok(Self::Inventory(Box::new(inventory))),
            // A lock, or what is neither: the lock's reader says why.
            Err(_) => Ok(Self::Lock(Box::new(read_lock(path)?))),
        }
    }
}

fn text(difference: &Difference) -> String {
    let mut text = String::new();
    for (name, digest) in &difference.added {
        let _ = writeln!(text, "+ {} {digest}", printable(name.clone()));
    }
    for (name, digest) in &difference.removed {
        let _ = writeln!(text, "- {} {digest}", printable(name.clone()));
    }
    for (name, old, new) in &difference.moved {
        let _ = writeln!(text, "~ {} {old} -> {new}", printable(name.clone()));
    }
    let _ = writeln!(
        text,
        "{} to carry, {}",
        counted(difference.new_blobs, "blob"),
        size(difference.new_bytes)
    );
    text
}

fn json(difference: &Difference) -> String {
    let named = |(name, digest): &(String, _)| json!({ "name": name, "digest": digest });
    let moved = difference.moved.iter();
    let moved = moved.map(|(name, old, new)| json!({ "name": name, "from": old, "to": new }));
    to_json(&json!({
        "added": difference.added.iter().map(named).collect::<Vec<_>>(),
        "removed": difference.removed.iter().map(named).collect::<Vec<_>>(),
        "moved": moved.collect::<Vec<_>>(),
        "blobs": difference.new_blobs,
        "bytes": difference.new_bytes,
    }))
}
