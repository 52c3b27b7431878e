//! containerd's version, as far as it matters for mirrors.

use std::{fmt, str::FromStr};

/// Major and minor: `2.4` of `v2.4.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u16,
    minor: u16,
}

/// A text has no version in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version of containerd; write it as 2.4 or 1.7.27")]
pub struct VersionError(String);

impl Version {
    /// Since when images are pulled by the transfer service, unless a setting forbids it.
    const TRANSFER: Self = Self::of(2, 1);
    /// Since when `config_path` has a default.
    const DEFAULT_PATH: Self = Self::of(2, 2);
    /// Since when `hosts.toml` has `dial_timeout`.
    const DIAL_TIMEOUT: Self = Self::of(2, 1);
    /// Since when `config.toml` of imports is merged key by key, and has version 3.
    const TWO: Self = Self::of(2, 0);
    /// Since when a `hosts.toml` may do without `[host]`.
    const BARE_FILE: Self = Self::of(1, 7);
    /// Since when `hosts.toml` has the capability `referrers`.
    const REFERRERS: Self = Self::of(2, 3);

    pub(crate) const fn of(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    pub(crate) fn pulls_by_transfer(self) -> bool {
        self >= Self::TRANSFER
    }

    pub(crate) fn has_default_path(self) -> bool {
        self >= Self::DEFAULT_PATH
    }

    /// Whether it knows `dial_timeout`; others wait 30 s for each connection.
    pub(crate) fn knows_dial_timeout(self) -> bool {
        self >= Self::DIAL_TIMEOUT
    }

    pub(crate) fn is_two(self) -> bool {
        self >= Self::TWO
    }

    /// Whether a file without `[host]` is a valid one.
    pub(crate) fn takes_bare_file(self) -> bool {
        self >= Self::BARE_FILE
    }

    /// Whether a file may name the capability `referrers`; others refuse the whole file.
    pub(crate) fn knows_referrers(self) -> bool {
        self >= Self::REFERRERS
    }
}

impl FromStr for Version {
    type Err = VersionError;

    /// Reads `2.4.2`, `v2.4.2`, `1.6.20~ds1`, `2.4`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut parts = text.trim().trim_start_matches('v').split('.');
            let major = parts.next()?.parse().ok()?;
            let minor = parts.next()?;
            let digits = minor.find(|char: char| !char.is_ascii_digit());
            let minor = minor[..digits.unwrap_or(minor.len())].parse().ok()?;
            Some(Self::of(major, minor))
        };
        parse().ok_or_else(|| VersionError(text.to_owned()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_in_all_spellings_of_containerd() {
        for (text, version) in [
            ("v2.4.2", Version::of(2, 4)),
            ("1.6.20~ds1", Version::of(1, 6)),
            ("2.1.9+ds1", Version::of(2, 1)),
            ("1.7", Version::of(1, 7)),
            ("2.5-beta.1", Version::of(2, 5)),
        ] {
            assert_eq!(text.parse(), Ok(version), "{text}");
        }
        for text in ["", "2", "two.four", "2.x"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
