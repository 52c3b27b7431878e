//! Verifying every byte of a bundle.

use std::io::{self, Read};

use manifest_model::{Digest, Hasher};

use crate::{
    layout::Placed,
    read::{Bundle, fill, padding},
};

const CHUNK: usize = 256 << 10;

/// What is wrong with a bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The bytes of a blob are not those its digest names.
    #[error("the blob {0} is damaged")]
    Blob(Digest),
    /// What is around a blob is not as the lock says. Its bytes may be right.
    #[error("the headers or the padding of the blob {0} are damaged")]
    Around(Digest),
    /// The end marker is damaged.
    #[error("the end of the bundle is damaged")]
    End,
    /// Something follows the end.
    #[error("the bundle goes on after its end")]
    Trailing,
    /// The file ends too early.
    #[error("the bundle ends after {length} of {expected} bytes; copy it again")]
    CutShort {
        /// The bytes there are.
        length: u64,
        /// The bytes the lock calls for.
        expected: u64,
    },
}

/// Reads all of a bundle after its head from `source`, and returns what is wrong, first things
/// first. `progress` is called with the number of bytes read since its last call.
///
/// A blob that is cut off is the last damage: there is nothing after it.
pub fn verify(
    bundle: &Bundle,
    source: &mut impl Read,
    mut progress: impl FnMut(u64),
) -> io::Result<Vec<Damage>> {
    let layout = bundle.layout();
    let mut damages = Vec::new();
    let cut_short = |length| Damage::CutShort {
        length,
        expected: layout.size(),
    };
    progress(layout.head().len() as u64);
    for placed in layout.blobs() {
        let headers = placed.headers();
        let sound = match expect(source, &headers)? {
            Expected::All(sound) => sound,
            Expected::Part(length) => {
                damages.push(cut_short(placed.headers_at + length));
                return Ok(damages);
            }
        };
        let (digest, length) = hash(source, placed, &mut progress)?;
        if length < placed.size {
            damages.push(cut_short(placed.data_at + length));
            return Ok(damages);
        }
        if digest != placed.digest {
            damages.push(Damage::Blob(placed.digest));
        }
        match expect(source, &vec![0; padding(placed.size)])? {
            Expected::All(true) if sound => {}
            Expected::All(_) => damages.push(Damage::Around(placed.digest)),
            Expected::Part(length) => {
                damages.push(cut_short(placed.data_at + placed.size + length));
                return Ok(damages);
            }
        }
        progress(placed.end() - placed.headers_at - placed.size);
    }
    let end = usize::try_from(layout.size() - layout.end_at()).expect("small");
    match expect(source, &vec![0; end])? {
        Expected::All(true) => {}
        Expected::All(false) => damages.push(Damage::End),
        Expected::Part(length) => damages.push(cut_short(layout.end_at() + length)),
    }
    if source.read(&mut [0])? > 0 {
        damages.push(Damage::Trailing);
    }
    Ok(damages)
}

enum Expected {
    /// All was there; whether it was as expected.
    All(bool),
    /// Only so many bytes were there.
    Part(u64),
}

fn expect(source: &mut impl Read, expected: &[u8]) -> io::Result<Expected> {
    let mut found = vec![0; expected.len()];
    let length = fill(source, &mut found)?;
    Ok(if length < expected.len() {
        Expected::Part(length as u64)
    } else {
        Expected::All(found == expected)
    })
}

fn hash(
    source: &mut impl Read,
    placed: &Placed,
    progress: &mut impl FnMut(u64),
) -> io::Result<(Digest, u64)> {
    let mut hasher = Hasher::new(placed.digest.algorithm());
    let mut source = source.by_ref().take(placed.size);
    let length = hasher.add_all(&mut source, &mut vec![0; CHUNK], progress)?;
    Ok((hasher.finish(), length))
}
