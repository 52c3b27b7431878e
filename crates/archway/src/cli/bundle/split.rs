//! `archway bundle split` and `join`: a bundle in parts, and in one file again.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use bundle::{BundleFiles, FilesError, MAX_PARTS, copy_range, open_file, part_name, part_ranges};
use clap::Args;
use manifest_model::Digest;
use terminal::{progress::Progress, table::size};

use super::{
    error::SplitError,
    part_size::PartSize,
    partial,
    sums::{self, failed},
};
use crate::cli::output::{CommandOutput, Failure, counted};

const SPLIT_HELP: &str = "\
The parts of site.tar are site.tar.001, site.tar.002 and so on. Beside them are site.tar.sha256 for
`sha256sum -c`, and the lock, site.lock.json. The bundle stays. For an import the parts are one file
again: `archway bundle join` takes them in any order, `cat` in theirs.

A size is a multiple of 4 KiB: 4GiB is made a little smaller, as FAT32 needs it; `dvd` is 4.7 GB and
`bd` 25 GB.

Exit codes: 0 done; 2 the command could not run.

Examples:
  archway bundle split 4GiB site.tar
  archway bundle split dvd site.tar -o /media/usb/site.tar";

const JOIN_HELP: &str = "\
Exit codes: 0 done; 1 a part is missing or damaged; 2 the command could not run.

Example:
  archway bundle join site.tar.0* -o site.tar";

/// Split a bundle into parts
#[derive(Debug, Args)]
#[command(after_help = SPLIT_HELP)]
pub(crate) struct Split {
    #[arg(help = "The size of a part: 4GiB, 650MB, dvd, bd", value_name = "SIZE")]
    size: PartSize,
    /// The bundle
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[arg(
        help = "The name of the parts without their numbers [default: that of the bundle]",
        short,
        long,
        value_name = "FILE"
    )]
    output: Option<PathBuf>,
}

/// Join the parts of a bundle
#[derive(Debug, Args)]
#[command(after_help = JOIN_HELP)]
pub(crate) struct Join {
    /// The parts
    #[arg(value_name = "PART", required = true)]
    parts: Vec<PathBuf>,
    /// The bundle to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl Split {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        let text = self.split().map_err(|error| Failure::unusable(&error))?;
        Ok(CommandOutput::success(text))
    }

    fn split(&self) -> Result<String, SplitError> {
        let (file, bundle) = open_file(&self.file)?;
        let total = bundle.layout().size();
        let length = file.metadata().map_err(failed(&self.file))?.len();
        if length != total {
            let path = self.file.clone();
            return Err(SplitError::Length {
                path,
                length,
                total,
            });
        }
        let stem = self.output.as_ref().unwrap_or(&self.file);
        let count = part_count(total, self.size)?;
        // Parts of an earlier split would pass for parts of this one.
        let mut paths = (1..=count + 1).map(|number| part_path(stem, number));
        if let Some(path) = paths.find(|path| path.exists()) {
            return Err(SplitError::Exists { path });
        }
        let progress = Progress::of("written", 2 * total);
        let mut written = Vec::new();
        for (number, range) in (1..).zip(part_ranges(total, self.size.0)) {
            let (path, digest) = write_part(stem, number, &progress, |output| {
                copy_range(&file, range.clone(), output, |more| progress.advance(more))
            })?;
            written.push((path, digest));
        }
        progress.end();
        sums::write(stem, &bundle, &written)?;
        Ok(format!(
            "{}: {} of up to {}\nbundle {}\n",
            stem.display(),
            counted(written.len() as u64, "part"),
            size(self.size.0),
            bundle.id()
        ))
    }
}

/// Writes one part under its name when all of it is on the disk, and returns its name and sum.
pub(super) fn write_part<E>(
    stem: &Path,
    number: u64,
    progress: &Progress,
    write: impl FnOnce(&File) -> Result<(), E>,
) -> Result<(String, Digest), SplitError>
where
    SplitError: From<E>,
{
    let path = part_path(stem, number);
    let unfinished = partial(&path);
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&unfinished)
        .map_err(failed(&unfinished))?;
    write(&file)?;
    file.sync_all().map_err(failed(&unfinished))?;
    let digest = sums::sum(&unfinished, |more| progress.advance(more));
    let digest = digest.map_err(failed(&unfinished))?;
    fs::rename(&unfinished, &path).map_err(failed(&path))?;
    Ok((file_name(&path), digest))
}

/// How many parts there will be.
pub(super) fn part_count(total: u64, size: PartSize) -> Result<u64, SplitError> {
    let count = part_ranges(total, size.0).count() as u64;
    if count > MAX_PARTS {
        return Err(SplitError::TooMany { count });
    }
    Ok(count)
}

/// The path of a part.
pub(super) fn part_path(stem: &Path, number: u64) -> PathBuf {
    stem.with_file_name(part_name(&file_name(stem), number))
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

impl From<io::Error> for SplitError {
    fn from(source: io::Error) -> Self {
        Self::Copy(source)
    }
}

impl Join {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        let text = self.join().map_err(|error| match error {
            SplitError::Missing { .. } | SplitError::File(FilesError::Parts { .. }) => {
                Failure::negative(&error)
            }
            error => Failure::unusable(&error),
        })?;
        Ok(CommandOutput::success(text))
    }

    fn join(&self) -> Result<String, SplitError> {
        let groups = BundleFiles::group(&self.parts)?;
        let [files] = groups.as_slice() else {
            return Err(SplitError::NotOne);
        };
        let opened = files.open()?;
        let total = opened.bundle.layout().size();
        if let Some(at) = opened.pieces.gap(0..total) {
            let path = files.path().to_owned();
            return Err(SplitError::Missing { path, at });
        }
        if self.output.exists() {
            let path = self.output.clone();
            return Err(SplitError::Exists { path });
        }
        let unfinished = partial(&self.output);
        let output = File::create(&unfinished).map_err(failed(&unfinished))?;
        let progress = Progress::of("written", total);
        for (file, at, range) in opened.pieces.within(0..total) {
            let length = range.end - range.start;
            copy_range(file, at..at + length, &output, |more| {
                progress.advance(more);
            })?;
        }
        progress.end();
        output.sync_all().map_err(failed(&unfinished))?;
        fs::rename(&unfinished, &self.output).map_err(failed(&self.output))?;
        Ok(format!(
            "{}: {}\nbundle {}\n",
            self.output.display(),
            size(total),
            opened.bundle.id()
        ))
    }
}
