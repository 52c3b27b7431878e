//! `archway bundle verify`: reads every byte of bundles.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use bundle::{Bundle, BundleFiles, Damage, FilesError, OpenBundle, PublicKey, signer, verify};
use clap::Args;
use terminal::{progress::Progress, table::size};

use crate::cli::output::{CommandOutput, Exit, Failure, counted};
use control::named_key;

const HELP: &str = "\
Every byte is read and every digest computed. No cache is needed. Parts are named in any order, all of
them; `sha256sum -c site.tar.sha256` checks one alone. With --key, a bundle must be signed by it.

Exit codes: 0 no damage; 1 a bundle is damaged or not signed by the key; 2 a file is no bundle or
cannot be read.

Examples:
  archway bundle verify site.tar
  archway bundle verify site.tar.0* --key site.pub";

/// Check every byte of bundles
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct BundleVerify {
    /// The bundles
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Public key of minisign, or the file it is in; one of several must have signed
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
}

impl BundleVerify {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        let keys = self.key.iter().map(|key| named_key(key));
        let keys: Result<Vec<PublicKey>, _> = keys.collect();
        let keys = keys.map_err(|error| Failure::unusable(&error))?;
        let mut text = String::new();
        let mut exit = Exit::Success;
        let groups = BundleFiles::group(&self.files);
        for files in groups.map_err(|error| Failure::unusable(&error))? {
            let (bundle, damages) = check(&files).map_err(|error| match error {
                FilesError::Parts { .. } => Failure::negative(&error),
                error => Failure::unusable(&error),
            })?;
            let path = files.path();
            for damage in &damages {
                exit = Exit::Negative;
                text += &line(path, damage, &bundle);
            }
            if damages.is_empty() {
                let blobs = counted(bundle.lock().carried().count() as u64, "blob");
                let bytes = size(bundle.layout().size());
                let _ = writeln!(text, "{}: {blobs}, {bytes}: no damage", path.display());
            }
            if !keys.is_empty() {
                let (line, signed) = signature(path, &bundle, &keys);
                exit = if signed { exit } else { Exit::Negative };
                text += &line;
            }
        }
        Ok(CommandOutput::new(text, exit))
    }
}

fn signature(path: &Path, bundle: &Bundle, keys: &[PublicKey]) -> (String, bool) {
    let path = path.display();
    match signer(bundle, keys) {
        Ok(number) => (format!("{path}: signed by the key {number}\n"), true),
        Err(error) => (format!("{path}: {error}\n"), false),
    }
}

fn check(files: &BundleFiles) -> Result<(Bundle, Vec<Damage>), FilesError> {
    let OpenBundle { pieces, .. } = files.open()?;
    let path = files.path();
    let read_error = |source| FilesError::Read {
        path: path.to_owned(),
        source,
    };
    let mut chain = pieces
        .into_chain()
        .map_err(|source| read_error(source.into()))?;
    // The lock in the parts counts, whatever lies beside them.
    let bundle = Bundle::open(&mut chain).map_err(read_error)?;
    let progress = Progress::of("read", bundle.layout().size());
    let damages = verify(&bundle, &mut chain, |read| progress.advance(read));
    progress.end();
    let damages = damages.map_err(|source| read_error(source.into()))?;
    Ok((bundle, damages))
}

/// One line for one damage, with the images whose manifests it hits.
fn line(path: &Path, damage: &Damage, bundle: &Bundle) -> String {
    let digest = match damage {
        Damage::Blob(digest) | Damage::Around(digest) => Some(digest),
        Damage::End | Damage::Trailing | Damage::CutShort { .. } => None,
    };
    let images = bundle.lock().images.iter();
    let hit: Vec<String> = images
        .filter(|image| digest.is_some_and(|digest| image.needs().any(|one| one == *digest)))
        .map(|image| image.name.to_string())
        .collect();
    let of = match hit.as_slice() {
        [] => String::new(),
        names => format!(", of {}", names.join(", ")),
    };
    format!("{}: {damage}{of}\n", path.display())
}
