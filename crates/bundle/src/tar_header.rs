//! Tar headers (POSIX ustar and pax), as functions of an entry's path, size and place.
//!
//! Only regular files; owner, times and modes are constants. A pax header goes before an entry
//! whose path or size does not fit ustar, and before one whose data must be moved to a boundary: a
//! `comment` record, which every reader ignores, is the filler.

/// Tar counts in blocks.
pub(crate) const BLOCK: u64 = 512;
/// The data of blobs begins on a boundary of this many bytes, the block size of file systems, so
/// that they can share extents with a bundle in place of copying.
pub(crate) const BOUNDARY: u64 = 4096;

/// A header is one block.
const HEADER: usize = 512;

/// The longest path of the `name` field.
const MAX_NAME: usize = 100;
/// The largest size of eleven octal digits.
const MAX_OCTAL_SIZE: u64 = 0o77_777_777_777;
/// The shortest comment record of three digits: `512 comment=` and a line feed fit.
const MIN_COMMENT: u64 = 16;

/// `size` rounded up to whole blocks.
pub(crate) fn padded(size: u64) -> u64 {
    size.next_multiple_of(BLOCK)
}

/// The header of a file of `size` bytes at `path`. The data follows.
pub(crate) fn plain(path: &str, size: u64) -> Vec<u8> {
    ustar(path, size, b'0').to_vec()
}

/// The headers of a file whose data is to begin on a [`BOUNDARY`], for headers that begin at
/// `position`, a multiple of [`BLOCK`].
pub(crate) fn aligned(path: &str, size: u64, position: u64) -> Vec<u8> {
    let mut records = Vec::new();
    if path.len() > MAX_NAME {
        records.extend_from_slice(&record("path", path));
    }
    if size > MAX_OCTAL_SIZE {
        records.extend_from_slice(&record("size", &size.to_string()));
    }
    if records.is_empty() && (position + BLOCK).is_multiple_of(BOUNDARY) {
        return plain(path, size);
    }
    let needed = padded(records.len() as u64 + MIN_COMMENT);
    let unaligned = position + BLOCK + needed + BLOCK;
    let body = needed + unaligned.next_multiple_of(BOUNDARY) - unaligned;
    records.extend_from_slice(&filler(usize_of(body) - records.len()));
    let mut headers = ustar("archway/pax", body, b'x').to_vec();
    headers.extend_from_slice(&records);
    let short = if path.len() > MAX_NAME {
        &path[..MAX_NAME]
    } else {
        path
    };
    let field = if size > MAX_OCTAL_SIZE { 0 } else { size };
    headers.extend_from_slice(&ustar(short, field, b'0'));
    headers
}

/// The bytes of headers that [`aligned`] makes; without making them.
pub(crate) fn aligned_len(path: &str, size: u64, position: u64) -> u64 {
    aligned(path, size, position).len() as u64
}

fn usize_of(length: u64) -> usize {
    usize::try_from(length).expect("a header is small")
}

/// A pax record, which begins with its own length.
fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n").into_bytes()
}

/// A comment record of exactly `length` bytes.
fn filler(length: usize) -> Vec<u8> {
    let start = format!("{length} comment=");
    let mut bytes = start.into_bytes();
    bytes.resize(length - 1, b' ');
    bytes.push(b'\n');
    bytes
}

fn ustar(path: &str, size: u64, kind: u8) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, path.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\0");
    put(263, b"00");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_counts_its_own_digits() {
        for value in [
            "a",
            "ab",
            &"x".repeat(89),
            &"x".repeat(90),
            &"x".repeat(995),
        ] {
            let record = record("path", value);
            let text = String::from_utf8(record.clone()).unwrap();
            let (length, _) = text.split_once(' ').unwrap();
            assert_eq!(length.parse::<usize>().unwrap(), record.len());
        }
    }

    proptest! {
        #[test]
        fn data_begins_on_a_boundary_wherever_its_headers_do(
            block in 0_u64..100,
            hex in prop_oneof![Just(64_usize), Just(128)],
            size in prop_oneof![0_u64..10_000, MAX_OCTAL_SIZE - 1..MAX_OCTAL_SIZE + 2],
        ) {
            let path = format!("blobs/shaXXX/{}", "a".repeat(hex));
            let position = block * BLOCK;
            let headers = aligned(&path, size, position);
            prop_assert_eq!((position + headers.len() as u64) % BOUNDARY, 0);
            prop_assert!(headers.len() as u64 <= BOUNDARY + 2 * BLOCK);
        }
    }
}
