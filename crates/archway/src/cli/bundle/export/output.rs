//! Writing the bundle of an export: to a file, a pipe, or in parts.

use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write as _},
    ops::Range,
    path::Path,
};

use airgap::Stored;
use bundle::{Bundle, Layout, Output, part_ranges, write};
use terminal::progress::Progress;

use super::Export;
use crate::cli::bundle::{
    error::{ExportError, SplitError},
    part_size::PartSize,
    partial,
    split::{part_count, part_path, write_part},
    sums,
};

impl Export {
    pub(super) fn write(
        &self,
        lock: &[u8],
        layout: &Layout,
        stored: &Stored<'_>,
    ) -> Result<(), ExportError> {
        if let Some(size) = self.split {
            return self.write_parts(lock, layout, stored, size);
        }
        let progress = Progress::of("written", layout.size());
        let result = if self.output == Path::new("-") {
            let mut pipe = io::stdout().lock();
            let mut output = Output::Pipe(&mut pipe);
            let whole = 0..layout.size();
            write(layout, whole, stored, &mut output, |more| {
                progress.advance(more);
            })
            .map_err(ExportError::from)
        } else {
            self.write_file(layout, stored, &progress)
        };
        progress.end();
        result
    }

    /// The bytes of the bundle that are to be written.
    pub(super) fn written(&self, layout: &Layout) -> Result<Range<u64>, ExportError> {
        let whole = 0..layout.size();
        let (Some(size), Some(number)) = (self.split, self.part) else {
            return Ok(whole);
        };
        let count = part_count(layout.size(), size)?;
        let mut parts = (1..).zip(part_ranges(layout.size(), size.0));
        let part = parts.find(|(known, _)| *known == number);
        part.map(|(_, range)| range)
            .ok_or(ExportError::NoPart { number, count })
    }

    /// Writes `FILE.partial`, and gives it its name when all of it is on the disk.
    fn write_file(
        &self,
        layout: &Layout,
        stored: &Stored<'_>,
        progress: &Progress,
    ) -> Result<(), ExportError> {
        let path = partial(&self.output);
        let failed = |source| ExportError::Output {
            path: path.clone(),
            source,
        };
        let mut options = File::options();
        options.write(true).create(self.resume);
        options.create_new(!self.resume).truncate(false);
        let mut file = options.open(&path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let from = layout.whole_until(length);
        file.set_len(from).map_err(failed)?;
        file.seek(SeekFrom::Start(from)).map_err(failed)?;
        progress.advance(from);
        let rest = from..layout.size();
        let mut output: Output<'_, io::Empty> = Output::File(&file);
        write(layout, rest, stored, &mut output, |more| {
            progress.advance(more);
        })?;
        file.flush()
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        fs::rename(&path, &self.output).map_err(failed)
    }

    /// Writes all parts and what lies beside them, or one part alone.
    fn write_parts(
        &self,
        lock: &[u8],
        layout: &Layout,
        stored: &Stored<'_>,
        size: PartSize,
    ) -> Result<(), ExportError> {
        let stem = &self.output;
        let count = part_count(layout.size(), size)?;
        if let Some(number) = self.part
            && number > count
        {
            return Err(ExportError::NoPart { number, count });
        }
        let is_wanted = |number: u64| self.part.is_none_or(|part| part == number);
        let ranges = (1..).zip(part_ranges(layout.size(), size.0));
        let ranges: Vec<_> = ranges.filter(|(number, _)| is_wanted(*number)).collect();
        let mut paths = ranges.iter().map(|(number, _)| part_path(stem, *number));
        if let Some(path) = paths.find(|path| path.exists()) {
            return Err(ExportError::Exists { path });
        }
        // Each byte is written, and read once more for the sum.
        let bytes: u64 = ranges
            .iter()
            .map(|(_, range)| range.end - range.start)
            .sum();
        let progress = Progress::of("written", bytes.saturating_mul(2));
        let mut written = Vec::new();
        for (number, range) in ranges {
            let part = write_part(stem, number, &progress, |file| {
                let mut output: Output<'_, io::Empty> = Output::File(file);
                write(layout, range, stored, &mut output, |more| {
                    progress.advance(more);
                })
                .map_err(SplitError::Bundle)
            })?;
            written.push(part);
        }
        progress.end();
        if self.part.is_none() {
            let bundle = Bundle::of_lock(lock.to_vec(), None);
            let bundle = bundle.map_err(|source| ExportError::Lock { source })?;
            sums::write(stem, &bundle, &written)?;
        }
        Ok(())
    }
}
