//! The journal beside a staged file: which of its bytes the next download can resume from.
//!
//! It keeps two answers. *Written* bytes were handed to the system: they survive a `kill -9` but
//! not a power loss. *Synced* bytes have reached the disk. The system's boot id decides which of
//! the two counts: within one boot the page cache has lost nothing.
//!
//! The text, padded with spaces to [`JOURNAL_LENGTH`] so that one write replaces another of any
//! length:
//!
//! ```text
//! archway fill 1
//! boot 5f0c...            (/proc/sys/kernel/random/boot_id)
//! size 536870912
//! written 0-1048576 8388608-9437184
//! synced 0-1048576
//! sum 3c5e...             (of all lines before)
//! ```

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read},
    ops::Range,
    os::unix::fs::FileExt,
    path::Path,
    sync::LazyLock,
};

use manifest_model::{Algorithm, Digest};

use super::private;
use crate::Spans;

const FORMAT_LINE: &str = "archway fill 1";

/// One page: room for a hundred spans, far more than a download has connections.
const JOURNAL_LENGTH: usize = 4096;

/// Read once: it cannot change while a process runs. Empty on a system without one, and an empty id
/// never counts as the same boot.
static BOOT_ID: LazyLock<String> = LazyLock::new(|| {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
});

/// How far a download has come on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalRecord {
    /// The blob's size.
    pub size: u64,
    /// Handed to the system.
    pub written: Spans,
    /// On the disk.
    pub synced: Spans,
}

/// The journal of one download.
#[derive(Debug)]
pub struct Journal(File);

impl Journal {
    /// Opens the file, creating it if need be. An existing journal stays as it is.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut options = private::file();
        options.write(true).create(true).truncate(false);
        private::open(path, &options).map(Self)
    }

    /// Replaces the journal's content. One write, not synced.
    pub fn write(&self, record: &JournalRecord) -> io::Result<()> {
        self.0.write_all_at(print(record, &BOOT_ID).as_bytes(), 0)
    }

    /// Syncs the journal to the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// What can be resumed of the download whose journal is at `path`: the blob's size and the bytes
/// that count. `None` if there is no journal or it is damaged.
pub(crate) fn read(path: &Path) -> Option<(u64, Spans)> {
    let mut text = String::new();
    File::open(path)
        .ok()?
        .take(JOURNAL_LENGTH as u64)
        .read_to_string(&mut text)
        .ok()?;
    let (record, boot) = parse(&text)?;
    let same_boot = !boot.is_empty() && boot == *BOOT_ID;
    let resumable = if same_boot {
        record.written
    } else {
        record.synced
    };
    Some((record.size, resumable))
}

fn print(record: &JournalRecord, boot: &str) -> String {
    let mut text = format!("{FORMAT_LINE}\nboot {boot}\nsize {}\n", record.size);
    for (word, spans) in [("written", &record.written), ("synced", &record.synced)] {
        text.push_str(word);
        for span in spans.iter() {
            let (start, end) = (span.start, span.end);
            // A span that does not fit is left out. The sum needs its room too.
            if text.len() < JOURNAL_LENGTH - 256 {
                let _ = write!(text, " {start}-{end}");
            }
        }
        text.push('\n');
    }
    let sum = Digest::of(Algorithm::Sha256, text.as_bytes()).hex();
    let _ = write!(text, "sum {sum}");
    format!("{text:<JOURNAL_LENGTH$}")
}

fn parse(text: &str) -> Option<(JournalRecord, String)> {
    let text = text.trim_end_matches(' ');
    let (lines, sum) = text.rsplit_once("sum ")?;
    if sum != Digest::of(Algorithm::Sha256, lines.as_bytes()).hex() {
        return None;
    }
    let mut lines = lines.lines();
    if lines.next()? != FORMAT_LINE {
        return None;
    }
    let boot = lines.next()?.strip_prefix("boot ")?.to_owned();
    let size = lines.next()?.strip_prefix("size ")?.parse().ok()?;
    let written = spans(lines.next()?.strip_prefix("written")?, size)?;
    let synced = spans(lines.next()?.strip_prefix("synced")?, size)?;
    let record = JournalRecord {
        size,
        written,
        synced,
    };
    Some((record, boot))
}

fn spans(text: &str, size: u64) -> Option<Spans> {
    text.split_whitespace()
        .map(|span| {
            let (start, end) = span.split_once('-')?;
            let range: Range<u64> = start.parse().ok()?..end.parse().ok()?;
            (range.start < range.end && range.end <= size).then_some(range)
        })
        .collect()
}

/// Reads a text as it is, and as the lines of a journal whose sum is right. One that can be read is
/// read the same from what it is written as, if that has the room.
#[cfg(fuzzing)]
pub(crate) fn fuzz_journal(text: &str) {
    let sum = Digest::of(Algorithm::Sha256, text.as_bytes()).hex();
    for text in [text, &format!("{text}sum {sum}")] {
        let Some((record, boot)) = parse(text) else {
            continue;
        };
        let written = print(&record, &boot);
        // A boot's id is one line of ours.
        if text.len() < JOURNAL_LENGTH - 256 && !boot.contains('\r') {
            assert_eq!(parse(&written), Some((record, boot)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> JournalRecord {
        let mut synced = Spans::default();
        synced.insert(0..1000);
        let mut written = synced.clone();
        written.insert(5000..9000);
        JournalRecord {
            size: 1 << 40,
            written,
            synced,
        }
    }

    #[test]
    fn a_journal_reads_back_as_what_was_written() {
        let text = print(&record(), "a boot");
        assert_eq!(text.len(), JOURNAL_LENGTH);
        assert_eq!(parse(&text), Some((record(), "a boot".to_owned())));
    }

    #[test]
    fn only_synced_bytes_count_after_another_boot() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("journal");
        Journal::open(&path).unwrap().write(&record()).unwrap();
        assert_eq!(read(&path), Some((1 << 40, record().written)));
        fs::write(&path, print(&record(), "another boot")).unwrap();
        assert_eq!(read(&path), Some((1 << 40, record().synced)));
        fs::write(&path, print(&record(), "")).unwrap();
        assert_eq!(read(&path), Some((1 << 40, record().synced)));
    }

    #[test]
    fn more_spans_than_fit_are_left_out_and_not_torn() {
        let many: Spans = (0..1000).map(|at| at * 10..at * 10 + 5).collect();
        let record = JournalRecord {
            size: 10_000,
            written: many.clone(),
            synced: many,
        };
        let text = print(&record, "a boot");
        assert_eq!(text.len(), JOURNAL_LENGTH);
        let (back, _) = parse(&text).unwrap();
        assert!(back.written.iter().all(|span| span.end - span.start == 5));
        assert!(!back.written.is_empty());
    }

    proptest! {
        #[test]
        fn a_journal_with_a_changed_byte_is_none(at in 0..200_usize, byte in any::<u8>()) {
            let mut text = print(&record(), "a boot").into_bytes();
            prop_assume!(text[at] != byte);
            text[at] = byte;
            let parsed = String::from_utf8(text).ok().and_then(|text| parse(&text));
            prop_assert_eq!(parsed, None);
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = parse(&text);
        }
    }
}
