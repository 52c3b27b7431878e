//! The files of a layout: in a folder, or in a tar that is read where they lie.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
};

use bundle::copy_range;
use manifest_model::Digest;
use rustix::{
    fs::{Mode, OFlags, ResolveFlags, openat2},
    io::Errno,
};
use tar::{Archive, EntryType};

use super::ForeignError;

const MARKER: &str = "oci-layout";
const INDEX: &str = "index.json";
const DOCKER_ARCHIVE: &str = "manifest.json";
const BLOBS: &str = "blobs/";

/// What a gzip and a zstd stream begin with.
const COMPRESSED: [&[u8]; 2] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]];

/// The most members of an archive that are looked at.
const MAX_MEMBERS: usize = 1_000_000;

/// The bound on a header of a tar, with the long names and the extensions of it.
const MAX_HEADER: usize = 1 << 20;

/// The largest `index.json`.
const MAX_INDEX: u64 = 64 << 20;

/// The files of a layout.
#[derive(Debug)]
pub(crate) enum Entries {
    /// A folder.
    Folder(File),
    /// A tar, with the place and the size of each of its files.
    Archive(File, HashMap<String, (u64, u64)>),
}

impl Entries {
    /// Takes an open folder or tar, and checks that it is a layout.
    pub(super) fn of(file: File) -> Result<Self, ForeignError> {
        let entries = if file.metadata()?.is_dir() {
            Self::Folder(file)
        } else {
            let mut start = [0; 4];
            let length = file.read_at(&mut start, 0)?;
            let begins = |magic: &&[u8]| start[..length].starts_with(magic);
            if COMPRESSED.iter().any(begins) {
                return Err(ForeignError::Compressed);
            }
            let members = members(&file)?;
            Self::Archive(file, members)
        };
        let has = |name: &str| entries.find(name).map(|found| found.is_some());
        if has(MARKER)? && has(INDEX)? {
            return Ok(entries);
        }
        Err(if has(DOCKER_ARCHIVE)? {
            ForeignError::DockerArchive
        } else {
            ForeignError::NoLayout
        })
    }

    /// `index.json`.
    pub(super) fn index(&self) -> Result<Vec<u8>, ForeignError> {
        self.document(INDEX, MAX_INDEX)?
            .ok_or(ForeignError::NoLayout)
    }

    /// The size of a blob; `None` if it is not here.
    pub(super) fn size(&self, digest: &Digest) -> Result<Option<u64>, ForeignError> {
        Ok(self.find(&path(digest))?.map(|(_, _, size)| size))
    }

    /// A blob of at most `max` bytes; `None` if it is not here.
    pub(super) fn blob(&self, digest: &Digest, max: u64) -> Result<Option<Vec<u8>>, ForeignError> {
        self.document(&path(digest), max)
    }

    fn document(&self, path: &str, max: u64) -> Result<Option<Vec<u8>>, ForeignError> {
        let Some((file, at, size)) = self.find(path)? else {
            return Ok(None);
        };
        if size > max {
            let path = path.to_owned();
            return Err(ForeignError::TooLarge { path, size });
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        file.read_exact_at(&mut bytes, at)?;
        Ok(Some(bytes))
    }

    /// Appends a blob to `output`.
    pub(crate) fn copy(
        &self,
        digest: &Digest,
        output: &File,
        progress: &dyn Fn(u64),
    ) -> io::Result<()> {
        let found = self.find(&path(digest)).map_err(io::Error::other)?;
        let (file, at, size) = found.ok_or(io::ErrorKind::NotFound)?;
        copy_range(&file, at..at + size, output, progress)
    }

    /// The file that holds a member, where it begins in it, and its size.
    fn find(&self, path: &str) -> Result<Option<(File, u64, u64)>, ForeignError> {
        match self {
            Self::Archive(file, members) => match members.get(path) {
                Some(&(at, size)) => Ok(Some((file.try_clone()?, at, size))),
                None => Ok(None),
            },
            Self::Folder(folder) => open_below(folder, path),
        }
    }
}

/// Opens a regular file below `folder`; no part of its path may be a link.
fn open_below(folder: &File, path: &str) -> Result<Option<(File, u64, u64)>, ForeignError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let no_file = || ForeignError::NoFile {
        path: path.to_owned(),
    };
    let file = match openat2(folder, path, flags, Mode::empty(), resolve) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP | Errno::NXIO | Errno::XDEV) => return Err(no_file()),
        Err(error) => return Err(io::Error::from(error).into()),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(no_file());
    }
    Ok(Some((file, 0, metadata.len())))
}

/// The files of a tar that are of a layout. Others are ignored; a link, a device or a second file in
/// the place of one is refused.
fn members(file: &File) -> Result<HashMap<String, (u64, u64)>, ForeignError> {
    let length = file.metadata()?.len();
    let mut members = HashMap::new();
    let mut archive = Archive::new(Headers {
        file,
        left: MAX_HEADER,
    });
    let entries = archive.entries_with_seek().map_err(not_a_tar)?;
    for entry in entries.take(MAX_MEMBERS) {
        let entry = entry.map_err(not_a_tar)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = path.trim_start_matches("./").to_owned();
        if !is_of_a_layout(&path) {
            continue;
        }
        let (at, size) = (entry.raw_file_position(), entry.size());
        let is_file = matches!(
            entry.header().entry_type(),
            EntryType::Regular | EntryType::Continuous
        );
        if !is_file {
            return Err(ForeignError::NoFile { path });
        }
        if at.checked_add(size).is_none_or(|end| end > length) {
            return Err(ForeignError::CutShort { path });
        }
        if members.insert(path.clone(), (at, size)).is_some() {
            return Err(ForeignError::Twice { path });
        }
    }
    Ok(members)
}

/// Whether a layout has a file of this name.
fn is_of_a_layout(path: &str) -> bool {
    let is_blob = |rest: &str| rest.replacen('/', ":", 1).parse::<Digest>().is_ok();
    [MARKER, INDEX, DOCKER_ARCHIVE].contains(&path) || path.strip_prefix(BLOBS).is_some_and(is_blob)
}

/// A tar of which the headers alone are read, each behind a seek. The library reads a name of any
/// length into memory, so one that is too long ends here.
struct Headers<'a> {
    file: &'a File,
    left: usize,
}

impl Read for Headers<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(self.left);
        if wanted == 0 && !buffer.is_empty() {
            let reason = format!("a header of the archive has more than {MAX_HEADER} bytes");
            return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
        }
        let length = self.file.read(&mut buffer[..wanted])?;
        self.left -= length;
        Ok(length)
    }
}

impl Seek for Headers<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.left = MAX_HEADER;
        self.file.seek(to)
    }
}

/// The library says so of everything that is no tar.
fn not_a_tar(error: io::Error) -> ForeignError {
    match error.kind() {
        io::ErrorKind::Other | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            ForeignError::NoLayout
        }
        _ => error.into(),
    }
}

fn path(digest: &Digest) -> String {
    format!("{BLOBS}{}/{}", digest.algorithm(), digest.hex())
}
