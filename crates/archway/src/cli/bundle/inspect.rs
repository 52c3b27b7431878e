//! `archway bundle inspect`: what a bundle holds, from its head alone.

use std::{fmt::Write as _, path::PathBuf};

use bundle::{Bundle, Image, Place, Presence, named};
use clap::Args;
use serde_json::json;
use terminal::{
    format::Format,
    table::{Table, printable, size},
};

use super::diff::Described;
use crate::cli::output::{CommandOutput, Failure, counted, json as to_json};

const HELP: &str = "\
Only the head of the file is read, whatever its size. `archway bundle verify` reads all of it.

Exit codes: 0 it is a bundle; 2 it is not, or cannot be read.

Examples:
  archway bundle inspect site.tar
  archway bundle inspect site.tar -o json";

/// Show the images, platforms and size of a bundle
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct BundleInspect {
    /// The bundle, its first part, or its lock
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
}

impl BundleInspect {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        let bundle = match Described::read(&self.file) {
            Ok(Described::Lock(bundle)) => *bundle,
            Ok(Described::Inventory(_)) => {
                let path = self.file.clone();
                return Err(Failure::unusable(&IsInventory { path }));
            }
            Err(error) => return Err(Failure::unusable(&error)),
        };
        Ok(CommandOutput::success(match self.output {
            Format::Text => text(&bundle),
            Format::Json => to_json(&json!({
                "id": bundle.id(),
                "size": bundle.layout().size(),
                "signed": bundle.signature().is_some(),
                "key": bundle.signature().and_then(named).map(|number| number.to_string()),
                "lock": bundle.lock(),
            })),
        }))
    }
}

/// The file is the other kind.
#[derive(Debug, thiserror::Error)]
#[error("{} is an inventory; `archway bundle diff` compares it", path.display())]
struct IsInventory {
    path: PathBuf,
}

fn text(bundle: &Bundle) -> String {
    let lock = bundle.lock();
    let mut text = format!("bundle   {}\n", bundle.id());
    let _ = writeln!(text, "created  {}", printable(lock.created.clone()));
    if let (Some(series), Some(sequence)) = (&lock.series, lock.sequence) {
        let _ = writeln!(text, "series   {series}, number {sequence}");
    }
    let carried = lock.carried().count() as u64;
    let bytes = lock.carried().map(|blob| blob.size).sum();
    let _ = writeln!(
        text,
        "carries  {}, {}",
        counted(carried, "blob"),
        size(bytes)
    );
    let base = lock.blobs.iter().filter(|blob| blob.place == Place::Base);
    let base = base.count() as u64;
    if base > 0 {
        let _ = writeln!(text, "needs    {} that the site has", counted(base, "blob"));
    }
    for id in &lock.requires {
        let _ = writeln!(text, "builds on {id}");
    }
    let signed = match bundle.signature() {
        Some(text) => {
            let key =
                named(text).map_or_else(String::new, |number| format!(" by the key {number}"));
            format!("yes{key}; `archway bundle verify --key` and `minisign -V` check it")
        }
        None => "no".to_owned(),
    };
    let _ = writeln!(text, "signed   {signed}\n");
    let mut table = Table::left(["IMAGE", "DIGEST", "HERE", "LEFT OUT"]);
    for image in &lock.images {
        table.row([
            image.name.to_string(),
            image.digest.to_string(),
            platforms(image, Presence::Here),
            platforms(image, Presence::LeftOut),
        ]);
    }
    text + &table.to_string()
}

/// The platforms of an index that are carried or not. A plain manifest has one and names none.
fn platforms(image: &Image, presence: Presence) -> String {
    if image.children.is_empty() {
        return match presence {
            Presence::Here => "its one manifest".to_owned(),
            Presence::LeftOut => "-".to_owned(),
        };
    }
    let children = image.children.iter();
    let names: Vec<String> = children
        .filter(|child| child.presence == presence)
        .filter_map(|child| child.platform.as_ref())
        .filter(|platform| !platform.0.is_unknown())
        .map(ToString::to_string)
        .collect();
    if names.is_empty() {
        return "-".to_owned();
    }
    names.join(", ")
}
