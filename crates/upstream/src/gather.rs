//! Gathering a small body: in its bounds, and with its `Content-Encoding` undone.
//!
//! Every request asks for `identity`. Some servers and the proxies before them compress all the
//! same, and Go's clients read such an answer without noticing.

mod room;

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use http::{HeaderMap, header};

use self::room::Reserved;
pub use self::room::{Gathered, Room};

/// The first bytes of every gzip stream, and of no JSON.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Why a body was not gathered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ungathered {
    /// It has more bytes than it may.
    #[error("the body is too large")]
    TooLarge,
    /// The room for all bodies together is used up.
    #[error("no room for the body")]
    NoRoom,
    /// It is not what its `Content-Encoding` says.
    #[error("the body is not gzip")]
    NotGzip(#[source] io::Error),
}

/// A body that arrives in pieces.
#[derive(Debug)]
pub(crate) struct Gather(Coding);

#[derive(Debug)]
enum Coding {
    /// As it comes, or of an encoding nobody here undoes: its bytes decide what it is worth.
    Plain(Bounded),
    /// Said to be gzip; the first bytes tell whether it is.
    Undecided(Vec<u8>, Bounded),
    Gzip(Box<MultiGzDecoder<Bounded>>),
}

impl Gather {
    /// A body of at most `limit` bytes, decoded; of all that take from `room` too, where there is
    /// one.
    pub(crate) fn new(headers: &HeaderMap, limit: usize, room: Option<&Room>) -> Self {
        let bounded = Bounded {
            bytes: Vec::new(),
            limit,
            reserved: room.map(Room::empty),
            refused: None,
        };
        let encoding = headers.get(header::CONTENT_ENCODING);
        let encoding = encoding.map_or(&b""[..], |value| value.as_bytes().trim_ascii());
        let is_gzip = [&b"gzip"[..], b"x-gzip"];
        Self(
            if is_gzip
                .iter()
                .any(|name| encoding.eq_ignore_ascii_case(name))
            {
                Coding::Undecided(Vec::new(), bounded)
            } else {
                Coding::Plain(bounded)
            },
        )
    }

    /// Adds the next piece.
    pub(crate) fn put(self, piece: &[u8]) -> Result<Self, Ungathered> {
        Ok(Self(match self.0 {
            Coding::Plain(mut bounded) => match bounded.write_all(piece) {
                Ok(()) => Coding::Plain(bounded),
                Err(error) => return Err(bounded.refused.unwrap_or(Ungathered::NotGzip(error))),
            },
            Coding::Undecided(mut head, bounded) => {
                head.extend_from_slice(piece);
                if head.len() < GZIP_MAGIC.len() {
                    return Ok(Self(Coding::Undecided(head, bounded)));
                }
                let coding = if head.starts_with(&GZIP_MAGIC) {
                    Coding::Gzip(Box::new(MultiGzDecoder::new(bounded)))
                } else {
                    Coding::Plain(bounded)
                };
                return Self(coding).put(&head);
            }
            Coding::Gzip(mut decoder) => match decoder.write_all(piece) {
                Ok(()) => Coding::Gzip(decoder),
                Err(error) => return Err(fault(&mut decoder, error)),
            },
        }))
    }

    /// The whole body.
    pub(crate) fn finish(self) -> Result<Gathered, Ungathered> {
        let bounded = match self.0 {
            Coding::Plain(bounded) => bounded,
            Coding::Undecided(head, bounded) => match Self(Coding::Plain(bounded)).put(&head)?.0 {
                Coding::Plain(bounded) => bounded,
                _ => unreachable!("a plain body stays one"),
            },
            Coding::Gzip(mut decoder) => match decoder.try_finish() {
                // The decoder holds nothing back now.
                Ok(()) => std::mem::replace(decoder.get_mut(), Bounded::nothing()),
                Err(error) => return Err(fault(&mut decoder, error)),
            },
        };
        Ok(Gathered::new(bounded.bytes, bounded.reserved))
    }
}

fn fault(decoder: &mut MultiGzDecoder<Bounded>, error: io::Error) -> Ungathered {
    let refused = decoder.get_mut().refused.take();
    refused.unwrap_or(Ungathered::NotGzip(error))
}

/// The decoded bytes. Never more than may be held, however small the body was on the wire.
#[derive(Debug)]
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    reserved: Option<Reserved>,
    refused: Option<Ungathered>,
}

impl Bounded {
    fn nothing() -> Self {
        Self {
            bytes: Vec::new(),
            limit: 0,
            reserved: None,
            refused: None,
        }
    }

    /// Makes room for `more` bytes: twice what there is, or as much as is needed.
    fn grow(&mut self, more: usize) -> Result<(), Ungathered> {
        let (length, capacity) = (self.bytes.len(), self.bytes.capacity());
        let needed = length + more;
        if needed > self.limit {
            return Err(Ungathered::TooLarge);
        }
        if needed <= capacity {
            return Ok(());
        }
        let ample = needed.max(capacity.saturating_mul(2)).min(self.limit);
        let mut is_free = |wanted: &usize| match &mut self.reserved {
            Some(reserved) => reserved.grow(*wanted),
            None => true,
        };
        let wanted = [ample, needed].into_iter().find(&mut is_free);
        let wanted = wanted.ok_or(Ungathered::NoRoom)?;
        self.bytes.reserve_exact(wanted - length);
        Ok(())
    }
}

impl Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if let Err(refused) = self.grow(piece.len()) {
            self.refused = Some(refused);
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};
    use http::HeaderValue;

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn gather(
        encoding: &'static str,
        pieces: &[&[u8]],
        limit: usize,
        room: Option<&Room>,
    ) -> Result<Gathered, Ungathered> {
        let encoding = HeaderValue::from_static(encoding);
        let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, encoding)]);
        let start = Gather::new(&headers, limit, room);
        let all = pieces.iter().try_fold(start, |all, piece| all.put(piece));
        all?.finish()
    }

    #[test]
    fn a_compressed_body_reads_as_what_was_compressed_however_it_is_cut() {
        let plain = br#"{"name":"a","tags":[]}"#;
        let packed = gzip(plain);
        for at in 0..=packed.len() {
            let (head, tail) = packed.split_at(at);
            let whole = gather("GZip", &[head, tail], 100, None).unwrap();
            assert_eq!(whole.as_ref(), plain, "cut at {at}");
        }
        let two = [gzip(b"one "), gzip(b"two")].concat();
        let whole = gather("x-gzip", &[&two], 100, None).unwrap();
        assert_eq!(whole.as_ref(), b"one two");
    }

    #[test]
    fn a_wrong_or_foreign_label_leaves_the_body_as_it_is() {
        for encoding in ["gzip", "aws-chunked", "identity", "br", ""] {
            let whole = gather(encoding, &[b"{", b"}"], 100, None).unwrap();
            assert_eq!(whole.as_ref(), b"{}", "{encoding}");
        }
        assert_eq!(gather("gzip", &[b"{"], 9, None).unwrap().as_ref(), b"{");
        assert_eq!(gather("gzip", &[], 9, None).unwrap().as_ref(), b"");
    }

    #[test]
    fn a_cut_or_damaged_gzip_body_is_no_body() {
        let packed = gzip(b"some text, and some more of it");
        let mut damaged = packed.clone();
        damaged[packed.len() - 6] ^= 1;
        for body in [&packed[..packed.len() - 1], &packed[..3], &damaged] {
            let read = gather("gzip", &[body], 100, None);
            assert!(matches!(read, Err(Ungathered::NotGzip(_))), "{read:?}");
        }
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let packed = gzip(&vec![b' '; 4 << 20]);
        assert!(packed.len() < 8 << 10, "{}", packed.len());
        let read = gather("gzip", &[&packed], 64 << 10, None);
        assert!(matches!(read, Err(Ungathered::TooLarge)), "{read:?}");
        let plain = gather("", &[b"12345"], 4, None);
        assert!(matches!(plain, Err(Ungathered::TooLarge)), "{plain:?}");
    }

    #[test]
    fn all_bodies_together_have_no_more_than_their_room() {
        let room = Room::of(100);
        let first = gather("", &[&[0; 60]], 100, Some(&room)).unwrap();
        let second = gather("", &[&[0; 60]], 100, Some(&room));
        assert!(matches!(second, Err(Ungathered::NoRoom)), "{second:?}");
        let small = gather("", &[&[0; 10], &[0; 20], &[0; 10]], 100, Some(&room)).unwrap();
        assert!(gather("", &[&[0]], 100, Some(&room)).is_err());
        drop((first, small));
        assert!(gather("", &[&[0; 100]], 100, Some(&room)).is_ok());
    }
}
