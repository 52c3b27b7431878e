//! The snapshot's file: one JSON object per line, and the digest of all of them in the last.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use manifest_model::{Algorithm, Digest, Hasher};
use serde::{Deserialize, Serialize};

use crate::{
    disk::private,
    error::CacheError,
    index::bundles::{BundleRow, CarriedName},
};

/// More than the longest line, whose parts are bounded. No more of a damaged file is held at once.
const MAX_LINE_LENGTH: u64 = 64 * 1024;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Line {
    /// A repository contains these digests.
    Links {
        /// As in [`crate::RepoKey`].
        repository: String,
        digests: Vec<Digest>,
    },
    /// An upstream, or one of its repositories, has proved to have these digests.
    Confirmed {
        /// The host of the upstream, or as in [`crate::RepoKey`].
        scope: String,
        digests: Vec<Digest>,
    },
    /// The media type of a manifest.
    Type { digest: Digest, media_type: String },
    /// A tag points at a manifest.
    Tag {
        /// As in [`crate::RepoKey`].
        repository: String,
        tag: String,
        digest: Digest,
        /// When the upstream last confirmed it, in milliseconds since 1970.
        confirmed: u64,
    },
    /// What an upstream said to a question about a subject.
    Answer {
        /// As in [`crate::RepoKey`].
        repository: String,
        subject: Digest,
        question: String,
        /// `None` if there is no such thing.
        body: Option<String>,
        /// When it said so, in milliseconds since 1970.
        at: u64,
    },
    /// A bundle, without its names.
    Bundle(BundleRow),
    /// Some names of a bundle, which has a line before.
    Carried {
        bundle: Digest,
        names: Vec<CarriedName>,
    },
    /// A bundle pins these.
    Pins { bundle: Digest, blobs: Vec<Digest> },
}

/// The last line: the digest of all before it.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct EndLine {
    end: Digest,
}

/// A file that is being written. It is worthless before [`Self::finish`].
pub(super) struct SnapshotWriter {
    path: PathBuf,
    out: BufWriter<File>,
    hasher: Hasher,
}

impl SnapshotWriter {
    pub(super) fn create(path: &Path) -> Result<Self, CacheError> {
        let file = private::create(path).map_err(CacheError::io("create", path))?;
        Ok(Self {
            path: path.into(),
            out: BufWriter::new(file),
            hasher: Hasher::new(Algorithm::Sha256),
        })
    }

    pub(super) fn put(&mut self, line: &Line) -> Result<(), CacheError> {
        let text = text_of(line);
        self.hasher.update(&text);
        let written = self.out.write_all(&text);
        written.map_err(CacheError::io("write", &self.path))
    }

    /// Ends the file. Durable when this returns.
    pub(super) fn finish(self) -> Result<(), CacheError> {
        let Self {
            path,
            mut out,
            hasher,
        } = self;
        let end = text_of(&EndLine {
            end: hasher.finish(),
        });
        let sync = || {
            out.write_all(&end)?;
            out.into_inner()?.sync_all()
        };
        sync().map_err(CacheError::io("write", path))
    }
}

fn text_of(line: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec(line).expect("a line has no keys but text");
    text.push(b'\n');
    text
}

/// The lines of an undamaged file; `None` if it is damaged. Skips lines that only another version
/// understands. A missing file is an error of the kind `NotFound`.
pub(super) fn read(path: &Path) -> io::Result<Option<impl Iterator<Item = Line> + use<>>> {
    if !is_whole(BufReader::new(File::open(path)?))? {
        return Ok(None);
    }
    let mut reader = BufReader::new(File::open(path)?);
    // It was read to its end just now. If the second time fails, fewer lines come back.
    let texts = std::iter::from_fn(move || next_line(&mut reader).ok().flatten());
    Ok(Some(
        texts.filter_map(|text| serde_json::from_slice(&text).ok()),
    ))
}

fn is_whole(mut reader: impl BufRead) -> io::Result<bool> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut last = Vec::new();
    while let Some(line) = next_line(&mut reader)? {
        hasher.update(&last);
        last = line;
    }
    let end = serde_json::from_slice(&last);
    Ok(end.is_ok_and(|EndLine { end }| end == hasher.finish()))
}

fn next_line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = reader.take(MAX_LINE_LENGTH).read_until(b'\n', &mut line)?;
    Ok((read > 0).then_some(line))
}

#[cfg(fuzzing)]
pub(crate) fn fuzz_snapshot(bytes: &[u8]) {
    let is_whole_as_it_is = is_whole(bytes).expect("memory can be read");
    assert!(!is_whole_as_it_is || bytes.trim_ascii_end().ends_with(b"}"));
    let mut lines: Vec<u8> = bytes.to_vec();
    lines.push(b'\n');
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(&lines);
    let end = EndLine {
        end: hasher.finish(),
    };
    lines.extend(text_of(&end));
    assert!(is_whole(lines.as_slice()).expect("memory can be read"));
    let mut reader = lines.as_slice();
    while let Some(text) = next_line(&mut reader).expect("memory can be read") {
        let _: Result<Line, _> = serde_json::from_slice(&text);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::{collection::vec, prelude::*};
    use tempfile::TempDir;

    use super::*;

    fn line() -> impl Strategy<Value = Line> {
        let digest = any::<[u8; 8]>().prop_map(|bytes| Digest::of(Algorithm::Sha256, &bytes));
        let repository = "[a-z]{1,9}\\.io/[a-z/]{1,20}";
        let links = (repository, vec(digest.clone(), 0..5));
        let confirmed = ("[a-z]{1,9}\\.io(/[a-z]{1,9})?", vec(digest.clone(), 0..5));
        let media_type = (digest.clone(), any::<String>());
        let tag = (repository, "[a-z]{1,9}", digest.clone(), any::<u64>());
        let body = proptest::option::of(any::<String>());
        let answer = (repository, digest, "[a-z?=/]{0,9}", body, any::<u64>());
        prop_oneof![
            links.prop_map(|(repository, digests)| Line::Links {
                repository,
                digests
            }),
            confirmed.prop_map(|(scope, digests)| Line::Confirmed { scope, digests }),
            media_type.prop_map(|(digest, media_type)| Line::Type { digest, media_type }),
            answer.prop_map(|(repository, subject, question, body, at)| Line::Answer {
                repository,
                subject,
                question,
                body,
                at
            }),
            tag.prop_map(|(repository, tag, digest, confirmed)| Line::Tag {
                repository,
                tag,
                digest,
                confirmed
            }),
        ]
    }

    fn write(path: &Path, lines: &[Line]) {
        let mut writer = SnapshotWriter::create(path).unwrap();
        for line in lines {
            writer.put(line).unwrap();
        }
        writer.finish().unwrap();
    }

    proptest! {
        #[test]
        fn what_was_written_reads_back(written in vec(line(), 0..20)) {
            let folder = TempDir::new().unwrap();
            let path = folder.path().join("names");
            write(&path, &written);
            let back: Vec<Line> = super::read(&path).unwrap().unwrap().collect();
            prop_assert_eq!(back, written);
        }

        #[test]
        fn a_file_with_one_byte_changed_or_its_end_cut_off_is_not_whole(
            written in vec(line(), 1..9),
            at in any::<prop::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let folder = TempDir::new().unwrap();
            let path = folder.path().join("names");
            write(&path, &written);
            let mut bytes = fs::read(&path).unwrap();
            let at = at.index(bytes.len() - 1);
            fs::write(&path, &bytes[..at]).unwrap();
            prop_assert!(super::read(&path).unwrap().is_none());
            bytes[at] ^= flip;
            fs::write(&path, bytes).unwrap();
            prop_assert!(super::read(&path).unwrap().is_none());
        }
    }
}
