//! The size of a part, as people write it: `4GiB`, `dvd`, `bd`.

use std::str::FromStr;

use bytesize::ByteSize;

/// Parts are multiples of this, so that blobs keep their boundaries within them.
const BOUNDARY: u64 = 4096;
/// FAT32 holds files of less than this.
const FAT_LIMIT: u64 = 4 << 30;
/// What fits on a medium; both are a little less than what is printed on it.
const MEDIA: [(&str, u64); 2] = [("dvd", 4_700_000_000), ("bd", 25_000_000_000)];

/// The size of a part in bytes; a multiple of 4096.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartSize(pub(super) u64);

/// A text is no size of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a size of at least 4KiB, such as 4GiB, 650MB, dvd or bd")]
pub(super) struct NotAPartSize;

impl FromStr for PartSize {
    type Err = NotAPartSize;

    fn from_str(text: &str) -> Result<Self, NotAPartSize> {
        let medium = MEDIA.iter().find(|(name, _)| *name == text);
        let size = match medium {
            Some((_, size)) => *size,
            None => text.parse::<ByteSize>().map_err(|_| NotAPartSize)?.as_u64(),
        };
        // Who writes 4GiB means the file system on the stick.
        let size = if size == FAT_LIMIT { size - 1 } else { size };
        let size = size / BOUNDARY * BOUNDARY;
        (size > 0).then_some(Self(size)).ok_or(NotAPartSize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_of_blocks_that_fits_the_medium() {
        let bytes = |text: &str| text.parse::<PartSize>().map(|size| size.0);
        assert_eq!(bytes("4GiB"), Ok((4 << 30) - 4096));
        assert_eq!(bytes("8GiB"), Ok(8 << 30));
        assert_eq!(bytes("5000"), Ok(4096));
        assert!(bytes("dvd").unwrap() <= 4_700_000_000);
        for other in ["", "4095", "0", "-1", "cd"] {
            assert_eq!(bytes(other), Err(NotAPartSize), "{other}");
        }
    }
}
