//! `archway bundle`: the commands for files that carry images across an air gap.

mod diff;
mod error;
mod export;
mod import;
mod inspect;
mod kept;
mod part_size;
mod sign;
mod split;
mod sums;
mod verify;

use std::path::{Path, PathBuf};

pub(super) use self::sums::put;
use super::commands::commands;

commands! {
    /// Carry images across an air gap in one file that keeps every digest
    #[command(after_help = EXIT_CODES)]
    pub(crate) enum BundleCommand {
        Export(export::Export),
        Import(import::ImportBundles),
        Inspect(inspect::BundleInspect),
        Verify(verify::BundleVerify),
        Diff(diff::Diff),
        Sign(sign::Sign),
        Split(split::Split),
        Join(split::Join),
        #[command(name = "ls")]
        List(kept::ListBundles),
        #[command(name = "rm")]
        Remove(kept::RemoveBundles),
        #[command(name = "keep")]
        Keep(kept::KeepBundles),
    }
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 a bundle is damaged, or an image is not stored; 2 the command could not run.";

/// `FILE.partial`: a bundle that is being written.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}
