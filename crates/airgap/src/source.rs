//! Where the bytes of a bundle come from.

use std::{
    collections::HashSet,
    fmt,
    fs::File,
    io::{self, Read, Write},
};

use bundle::{Bundle, Layout, Pieces, StreamError, copy_range, each_blob};
use cache::Intake;
use manifest_model::Digest;

use crate::{error::ImportError, foreign::Entries};

/// Where the bytes of a bundle come from, after its head was read.
pub enum Source {
    /// Files: the whole of it, or parts.
    Files(Pieces),
    /// Something that can be read once, at the first blob.
    Pipe(Box<dyn Read + Send>),
    /// A layout of another tool.
    Foreign(ForeignLayout),
}

/// The files of a layout that another tool made.
#[derive(Debug)]
pub struct ForeignLayout(pub(crate) Entries);

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(pieces) => formatter.debug_tuple("Files").field(pieces).finish(),
            Self::Pipe(_) => formatter.write_str("Pipe"),
            Self::Foreign(layout) => formatter.debug_tuple("Foreign").field(layout).finish(),
        }
    }
}

impl Source {
    /// A bundle in one file, of which all must be there.
    pub fn whole(pieces: Pieces, bundle: &Bundle) -> Result<Self, ImportError> {
        let expected = bundle.layout().size();
        match pieces.gap(0..expected) {
            Some(length) => Err(StreamError::CutShort { length, expected }.into()),
            None => Ok(Self::Files(pieces)),
        }
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        match self {
            Self::Files(pieces) => Some(pieces.files()),
            Self::Pipe(_) | Self::Foreign(_) => None,
        }
        .into_iter()
        .flatten()
    }

    /// Brings the `missing` blobs, as long as it `goes_on`. `progress` is called with the number of
    /// bytes that came since its last call. An error leaves those that came before it stored.
    pub(crate) fn bring(
        self,
        bundle: &Bundle,
        missing: &HashSet<Digest>,
        intake: &mut Intake,
        progress: &dyn Fn(u64),
        goes_on: &dyn Fn() -> bool,
    ) -> Result<(), ImportError> {
        let check = || goes_on().then_some(()).ok_or(ImportError::Stopped);
        let brought = match self {
            Self::Files(pieces) => {
                bring_from_files(bundle.layout(), &pieces, missing, intake, progress, &check)
            }
            Self::Pipe(mut pipe) => each_blob(bundle, &mut pipe, |digest, size, data| {
                check()?;
                if !missing.contains(digest) {
                    return Ok(());
                }
                let take = |file: &File| {
                    copy(data, file, progress)?;
                    match data.limit() {
                        0 => Ok(()),
                        _ => Err(cut_short()),
                    }
                };
                Ok::<_, ImportError>(intake.take(digest, size, take)?)
            }),
            Self::Foreign(ForeignLayout(entries)) => {
                let carried = bundle.layout().carried();
                let mut missing = carried.filter(|(digest, _, _)| missing.contains(digest));
                missing.try_for_each(|(digest, size, _)| {
                    check()?;
                    let take = |file: &File| entries.copy(&digest, file, progress);
                    Ok(intake.take(&digest, size, take)?)
                })
            }
        };
        // Whatever went wrong, what has come need not come again.
        let published = intake.publish();
        brought?;
        Ok(published?)
    }
}

fn bring_from_files(
    layout: &Layout,
    pieces: &Pieces,
    missing: &HashSet<Digest>,
    intake: &mut Intake,
    progress: &dyn Fn(u64),
    check: &dyn Fn() -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let (mut total, mut absent) = (0, 0);
    for (digest, size, at) in layout.carried() {
        total += 1;
        check()?;
        if !missing.contains(&digest) {
            continue;
        }
        let range = at..at + size;
        if !pieces.have(range.clone()) {
            absent += 1;
            continue;
        }
        intake.take(&digest, size, |file| {
            for (piece, from, part) in pieces.within(range) {
                copy_range(piece, from..from + (part.end - part.start), file, progress)?;
            }
            Ok(())
        })?;
    }
    if absent > 0 {
        return Err(ImportError::Incomplete {
            missing: absent,
            total,
        });
    }
    Ok(())
}

/// Copies all of `data`, whose end its reader knows.
fn copy(data: &mut impl Read, mut file: &File, progress: &dyn Fn(u64)) -> io::Result<()> {
    const CHUNK: usize = 256 << 10;
    let mut chunk = vec![0; CHUNK];
    loop {
        match data.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                file.write_all(&chunk[..length])?;
                progress(length as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn cut_short() -> io::Error {
    let kind = io::ErrorKind::UnexpectedEof;
    io::Error::new(kind, "the bundle ends within it; copy it again")
}
