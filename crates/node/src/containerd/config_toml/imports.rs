//! The files that a `config.toml` imports.

use std::{fs, io};

use protocol::host::glob;

use crate::containerd::Root;

/// The files of an import: below the importing file's folder unless absolute, with `*` and `?`.
pub(super) fn resolve(root: &Root, importer: &str, import: &str) -> io::Result<Vec<String>> {
    let whole = if import.starts_with('/') {
        import.to_owned()
    } else {
        let folder = importer.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{import}")
    };
    if !whole.contains('*') {
        return Ok(vec![whole]);
    }
    let mut found = vec![String::new()];
    for part in whole.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for folder in &found {
            if part.contains(['*', '?']) {
                next.extend(entries(root, folder, part)?);
            } else {
                next.push(format!("{folder}/{part}"));
            }
        }
        found = next;
    }
    found.retain(|path| root.has(path));
    found.sort();
    Ok(found)
}

fn entries(root: &Root, folder: &str, pattern: &str) -> io::Result<Vec<String>> {
    let listing = match fs::read_dir(root.behind(folder)) {
        Ok(listing) => listing,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in listing {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if glob::matches(pattern.as_bytes(), name.as_bytes()) {
            found.push(format!("{folder}/{name}"));
        }
    }
    Ok(found)
}
