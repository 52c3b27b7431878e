//! A client's files, printed or written into a tree as on the client.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::{ClientFile, ClientFiles};

/// Why files were not written.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Somebody's file would be lost.
    #[error("{} is there already and differs; nothing was written", .0.display())]
    Differs(PathBuf),
    /// One could not be written. Those before it are.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ClientFiles {
    /// The text for standard output: one file as it is, several with a comment that names each.
    pub fn printed(&self) -> String {
        if let [ClientFile { text, .. }] = self.files.as_slice() {
            return text.clone();
        }
        let mut out = String::new();
        for file in &self.files {
            let gap = if out.is_empty() { "" } else { "\n" };
            let _ = write!(out, "{gap}# {}\n{}", file.path, file.text);
        }
        out
    }

    /// The notes beside [`Self::printed`], which say where a single file goes.
    pub fn notes_printed(&self) -> String {
        match self.files.as_slice() {
            [file] => format!("note: this is {}\n{}", file.path, self.advice()),
            _ => self.advice(),
        }
    }

    /// The notes, a line each.
    pub fn advice(&self) -> String {
        let notes = self.notes.iter().map(|note| format!("note: {note}\n"));
        notes.collect()
    }

    /// Writes the files below a folder, and returns their paths. None is written if one is there that
    /// says something else.
    pub fn write_below(&self, folder: &Path) -> Result<Vec<PathBuf>, TreeError> {
        let place = |file: &ClientFile| folder.join(file.path.trim_start_matches('/'));
        for file in &self.files {
            let path = place(file);
            match fs::read(&path) {
                Ok(there) if there != file.text.as_bytes() => {
                    return Err(TreeError::Differs(path));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(TreeError::Write { path, source }),
            }
        }
        let written = self.files.iter().map(|file| {
            let path = place(file);
            match write(&path, &file.text) {
                Ok(()) => Ok(path),
                Err(source) => Err(TreeError::Write { path, source }),
            }
        });
        written.collect()
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::File::create_new(path) {
        // Half a file would differ from then on.
        Ok(mut file) => file.write_all(text.as_bytes()).inspect_err(|_| {
            let _ = fs::remove_file(path);
        }),
        // It says the same: it was read before.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}
