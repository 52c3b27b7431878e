//! Reading the blobs of a bundle one after the other, from a pipe as well as from a file.

use std::io::{self, Read};

use manifest_model::Digest;

use crate::read::{Bundle, fill, padding};

/// Why the stream of a bundle cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// It cannot be read.
    #[error("cannot read the bundle")]
    Io(#[from] io::Error),
    /// It ends too early.
    #[error("the bundle ends after {length} of {expected} bytes; copy it again")]
    CutShort {
        /// The bytes there are.
        length: u64,
        /// The bytes the lock calls for.
        expected: u64,
    },
    /// What is around a blob is not as the lock says.
    #[error("the headers or the padding of the blob {0} are damaged")]
    Around(Digest),
}

/// Hands over each blob of a bundle whose head was read from `source`, with its digest and size, in
/// the order of the file. `take` may leave bytes unread; whether they are those of the digest is
/// its business.
pub fn each_blob<S: Read, E: From<StreamError>>(
    bundle: &Bundle,
    source: &mut S,
    mut take: impl FnMut(&Digest, u64, &mut io::Take<&mut S>) -> Result<(), E>,
) -> Result<(), E> {
    let layout = bundle.layout();
    let cut_short = |length| StreamError::CutShort {
        length,
        expected: layout.size(),
    };
    for placed in layout.blobs() {
        let headers = expect(source, &placed.headers(), &placed.digest)?;
        if !headers {
            return Err(cut_short(placed.headers_at).into());
        }
        let mut data = source.by_ref().take(placed.size);
        take(&placed.digest, placed.size, &mut data)?;
        io::copy(&mut data, &mut io::sink()).map_err(StreamError::from)?;
        if data.limit() > 0 {
            return Err(cut_short(placed.data_at + placed.size - data.limit()).into());
        }
        if !expect(source, &vec![0; padding(placed.size)], &placed.digest)? {
            return Err(cut_short(placed.data_at + placed.size).into());
        }
    }
    Ok(())
}

/// Reads what lies around the blob `digest`; `false` if the source ends in it.
fn expect(source: &mut impl Read, expected: &[u8], digest: &Digest) -> Result<bool, StreamError> {
    let mut found = vec![0; expected.len()];
    let length = fill(source, &mut found)?;
    if found[..length] != expected[..length] {
        return Err(StreamError::Around(*digest));
    }
    Ok(length == expected.len())
}
