//! Room on a file system: bytes, or a share of the whole.

use std::fmt;

use crate::{
    meaning::{Meaning, Wrong},
    units::{self, Amount},
};

/// An amount of room, known in bytes once the size of the file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// So many bytes.
    Bytes(u64),
    /// So many percent of the file system.
    Share(u8),
    /// So many percent, and no more than so many bytes.
    ShareUpTo(u8, u64),
}

impl Space {
    /// The bytes of it on a file system of `total` bytes.
    pub fn of(self, total: u64) -> u64 {
        let share = |percent: u8| total / 100 * u64::from(percent);
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Share(percent) => share(percent),
            Self::ShareUpTo(percent, most) => share(percent).min(most),
        }
    }
}

impl fmt::Display for Space {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => formatter.write_str(&units::size(*bytes)),
            Self::Share(percent) => write!(formatter, "{percent}%"),
            Self::ShareUpTo(percent, most) => {
                write!(formatter, "{percent}% up to {}", units::size(*most))
            }
        }
    }
}

impl Meaning for Space {
    const WHAT: &'static str = Amount::WHAT;
    const EXAMPLE: &'static str = "\"50GiB\" or \"20%\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        let Some((percent, rest)) = text.split_once('%') else {
            return Amount::read(text).map(|Amount(bytes)| Self::Bytes(bytes));
        };
        let percent = percent
            .trim()
            .parse()
            .ok()
            .filter(|percent| *percent <= 100);
        let Some(percent) = percent else {
            let wrong = Wrong::new("a share is a whole number from 0 to 100");
            return Err(wrong.help("for example \"20%\" of the file system"));
        };
        match rest.trim() {
            "" => Ok(Self::Share(percent)),
            rest => {
                let Some(most) = rest.strip_prefix("up to ") else {
                    let wrong = Wrong::new("nothing but `up to` and a size can follow a share");
                    return Err(wrong.help("for example \"5% up to 256MiB\""));
                };
                let Amount(most) = Amount::read(most)?;
                Ok(Self::ShareUpTo(percent, most))
            }
        }
    }
}

/// Room that is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity(pub(crate) Space);

impl Meaning for Capacity {
    const WHAT: &'static str = Space::WHAT;
    const EXAMPLE: &'static str = Space::EXAMPLE;

    fn read(text: &str) -> Result<Self, Wrong> {
        match Space::read(text)? {
            Space::Bytes(0) | Space::Share(0) | Space::ShareUpTo(0, _) | Space::ShareUpTo(_, 0) => {
                Err(Wrong::new("a size of zero would keep nothing"))
            }
            space => Ok(Self(space)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn room_is_bytes_or_a_share_of_the_file_system() {
        for (text, written, bytes) in [
            ("3GiB", "3GiB", 3 * GIB),
            ("20%", "20%", 2 * GIB),
            (" 5 % up to 256MiB", "5% up to 256MiB", 256 << 20),
            ("1% up to 256MiB", "1% up to 256MiB", GIB / 10),
            ("0B", "0TiB", 0),
        ] {
            let space = Space::read(text).unwrap();
            let total = 10 * GIB;
            assert!(
                space.of(total).abs_diff(bytes) < 100,
                "{text}: {}",
                space.of(total)
            );
            assert_eq!(space.to_string(), written);
            assert_eq!(Space::read(written).unwrap(), space);
        }
        for text in ["", "%", "101%", "-1%", "1.5%", "5% of it", "5% up to", "20"] {
            assert!(Space::read(text).is_err(), "{text}");
        }
        for text in ["0B", "0%", "5% up to 0B"] {
            assert!(Capacity::read(text).is_err(), "{text}");
        }
    }
}
