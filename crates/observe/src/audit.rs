//! The file of the audit log: it is appended to, and a new one is begun at a size.
//!
//! The full ones are beside it, `audit.log.1` the youngest. Owns the file; what a line says is up to
//! `access`.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use config::AuditConfig;

use crate::log_writer::LogWriter;

/// Where the lines of the audit log go, if there is one. Its file can be read by its owner alone: it
/// says who pulled what.
pub fn open(config: &AuditConfig) -> Option<io::Result<LogWriter>> {
    let path = config.path.as_ref()?;
    let file = RotatedFile::open(path, config.rotate, config.keep);
    Some(file.and_then(LogWriter::to))
}

/// A file that makes place for a new one at a size.
#[derive(Debug)]
struct RotatedFile {
    path: PathBuf,
    file: File,
    size: u64,
    most: u64,
    keep: usize,
}

impl RotatedFile {
    fn open(path: &Path, most: u64, keep: usize) -> io::Result<Self> {
        let file = append(path)?;
        let size = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            file,
            size,
            most,
            keep,
        })
    }

    /// Moves the full files one number up, and begins a new one. The last one goes.
    fn rotate(&mut self) -> io::Result<()> {
        if self.keep == 0 {
            fs::remove_file(&self.path)?;
        }
        for number in (0..self.keep).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = append(&self.path)?;
        self.size = 0;
        Ok(())
    }

    /// The path of a full file; of number 0 the one that is written.
    fn numbered(&self, number: usize) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Each `write` is a batch of whole lines.
impl Write for RotatedFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        if self.size > 0 && self.size.saturating_add(lines.len() as u64) > self.most {
            // A file that cannot be moved is better than lines that are lost.
            let _ = self.rotate();
        }
        self.file.write_all(lines)?;
        self.size += lines.len() as u64;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_makes_place_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let mut file = RotatedFile::open(&path, 10, 2).unwrap();
        for line in ["one 67\n", "two 67\n", "three\n", "four\n", "five\n"] {
            file.write_all(line.as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("audit.log"), "four\nfive\n");
        assert_eq!(read("audit.log.1"), "three\n");
        assert_eq!(read("audit.log.2"), "two 67\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_restart_goes_on_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        for line in ["one\n", "two\n"] {
            let mut file = RotatedFile::open(&path, 100, 0).unwrap();
            file.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }
}
