//! What lies beside parts: their sums, as `sha256sum -c` reads them, the lock and its signature. All of
//! it is on the disk when it is said to be written: a stick may be pulled out then.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use bundle::{Bundle, lock_path, signature_path, sums_path};
use manifest_model::{Algorithm, Digest, Hasher};

use super::error::SplitError;

const CHUNK: usize = 1 << 20;

/// The sum of a file.
pub(super) fn sum(path: &Path, progress: impl FnMut(u64)) -> io::Result<Digest> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.add_all(&mut File::open(path)?, &mut vec![0; CHUNK], progress)?;
    Ok(hasher.finish())
}

/// Writes what lies beside parts, which are given by their names and sums.
pub(super) fn write(
    stem: &Path,
    bundle: &Bundle,
    parts: &[(String, Digest)],
) -> Result<(), SplitError> {
    let lock = lock_path(stem);
    put(&lock, bundle.lock_bytes()).map_err(failed(&lock))?;
    let signature = signature_path(stem);
    match bundle.signature() {
        Some(text) => put(&signature, text.as_bytes()).map_err(failed(&signature))?,
        // One of another bundle that was split here would be taken for this one's.
        None => match fs::remove_file(&signature) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&signature)(error));
            }
            _ => {}
        },
    }
    let mut text = String::new();
    for (name, digest) in parts {
        let _ = writeln!(text, "{}  {name}", digest.hex());
    }
    let sums = sums_path(stem);
    put(&sums, text.as_bytes()).map_err(failed(&sums))
}

/// Gives one part its new sum, if there is a sum file.
pub(super) fn replace_sum(stem: &Path, part: &Path) -> io::Result<()> {
    let text = match fs::read_to_string(sums_path(stem)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let digest = sum(part, |_| ())?;
    let name = part.file_name().unwrap_or_default().to_string_lossy();
    let lines = text.lines().map(|line| match line.split_once("  ") {
        Some((_, named)) if named == name => format!("{}  {name}\n", digest.hex()),
        _ => format!("{line}\n"),
    });
    put(&sums_path(stem), lines.collect::<String>().as_bytes())
}

/// Writes a whole file, which is on the disk when this returns.
pub(in crate::cli) fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// What a file that cannot be written, or read again, makes of a split.
pub(super) fn failed(path: &Path) -> impl FnOnce(io::Error) -> SplitError {
    let path = path.to_owned();
    |source| SplitError::Write { path, source }
}
