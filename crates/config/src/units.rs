//! Sizes and durations: strings with a unit, in both directions.

use std::time::Duration;

use bytesize::ByteSize;

use crate::meaning::{Meaning, Wrong};

/// A slip in the unit is reported at start, not noticed in a year.
const MAX_DURATION: Duration = Duration::from_hours(365 * 24);
/// 1 EiB, so that sums of sizes cannot overflow.
const MAX_SIZE: u64 = 1 << 60;

/// A duration that may be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval(pub(crate) Duration);

/// A duration after which something is given up: never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeout(pub(crate) Duration);

/// A number of bytes, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// A number of bytes that may be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Amount(pub(crate) u64);

impl Meaning for Interval {
    const WHAT: &'static str = "a duration with its unit";
    const EXAMPLE: &'static str = "\"60s\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        let duration = humantime::parse_duration(text).map_err(|error| match error {
            humantime::DurationError::Empty => Wrong::new("this is empty"),
            humantime::DurationError::UnknownUnit { unit, .. } if unit.is_empty() => {
                Wrong::new("the unit is missing")
                    .help(format!("add one, for example \"{}s\"", text.trim()))
            }
            humantime::DurationError::UnknownUnit { unit, .. } => {
                Wrong::new(format!("`{unit}` is not a unit of time"))
                    .help("units are ms, s, m, h and d, for example \"90s\" or \"1h 30m\"")
            }
            humantime::DurationError::NumberOverflow => Wrong::new("this number is too large"),
            _ => Wrong::new("a number and a unit were expected"),
        })?;
        if duration > MAX_DURATION {
            return Err(
                Wrong::new("this is longer than 365 days").help("365d is the longest possible")
            );
        }
        Ok(Self(duration))
    }
}

impl Meaning for Timeout {
    const WHAT: &'static str = "a time limit";
    const EXAMPLE: &'static str = "\"5s\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        let Interval(duration) = Interval::read(text)?;
        if duration.is_zero() {
            return Err(Wrong::new("a limit of zero would make everything fail")
                .help("write \"1h\" to wait long"));
        }
        Ok(Self(duration))
    }
}

impl Meaning for Size {
    const WHAT: &'static str = "a size with its unit";
    const EXAMPLE: &'static str = "\"50GiB\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        match Amount::read(text)? {
            Amount(0) => Err(Wrong::new("a size of zero would keep nothing")),
            Amount(bytes) => Ok(Self(bytes)),
        }
    }
}

impl Meaning for Amount {
    const WHAT: &'static str = Size::WHAT;
    const EXAMPLE: &'static str = "\"1GiB\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Wrong::new("the unit is missing")
                .help(format!("add one, for example \"{text}GiB\"")));
        }
        let Ok(ByteSize(bytes)) = text.parse() else {
            let unit = text
                .trim_start_matches(|char: char| char.is_ascii_digit() || char == '.')
                .trim();
            let label = if unit.len() == text.len() || unit.is_empty() {
                "a number and a unit were expected".to_owned()
            } else {
                format!("`{unit}` is not a unit of size")
            };
            return Err(Wrong::new(label).help(
                "units are B, KiB, MiB, GiB, TiB, kB, MB, GB and TB, for example \"50GiB\"",
            ));
        };
        match bytes {
            MAX_SIZE.. => Err(Wrong::new("this is more than 1 EiB")),
            bytes => Ok(Self(bytes)),
        }
    }
}

/// Exactly `bytes`, in the largest unit that takes a whole number; reads back to the same number.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 8] = [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("TB", 1_000_000_000_000),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("kB", 1_000),
    ];
    let whole = UNITS
        .iter()
        .find(|(_, factor)| bytes.is_multiple_of(*factor));
    whole.map_or_else(
        || format!("{bytes}B"),
        |(unit, factor)| format!("{}{unit}", bytes / factor),
    )
}

/// The duration in words that read back to the same one.
pub(crate) fn duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_size_is_a_number_and_a_unit() {
        for (text, expected) in [
            ("50GiB", 50 << 30),
            ("50 GB", 50_000_000_000),
            ("1.5 kib", 1536),
            ("7B", 7),
        ] {
            assert_eq!(Size::read(text).unwrap().0, expected, "{text}");
        }
        for text in [
            "",
            "50",
            "0GiB",
            "GiB",
            "50 apples",
            "-1GiB",
            "1e3B",
            "2EiB",
            "99999999999999999999TiB",
        ] {
            assert!(Size::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, seconds) in [
            ("60s", 60),
            ("1h 30m", 5400),
            ("365d", 31_536_000),
            ("0s", 0),
        ] {
            assert_eq!(
                Interval::read(text).unwrap().0,
                Duration::from_secs(seconds),
                "{text}"
            );
        }
        for text in [
            "",
            "60",
            "s",
            "366d",
            "5 apples",
            "-1s",
            "99999999999999999999s",
        ] {
            assert!(Interval::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_limit_is_never_zero() {
        assert!(Timeout::read("0s").is_err());
        assert!(Timeout::read("1ms").is_ok());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(bytes in 1..MAX_SIZE, millis in 0..31_536_000_000_u64) {
            prop_assert_eq!(Size::read(&size(bytes)).unwrap().0, bytes);
            let time = Duration::from_millis(millis);
            prop_assert_eq!(Interval::read(&duration(time)).unwrap().0, time);
        }
    }
}
