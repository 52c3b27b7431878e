//! Tags: the names a registry may move.

use std::fmt;
use std::str::FromStr;

use crate::error::{ParseError, Word};

/// The longest tag. The distribution specification stops at 128; ECR takes 300, and so must a proxy in front of it.
const MAX_LEN: usize = 300;

/// How many digits of a digest a tag of referrers has; the specification cuts longer ones off.
const REFERRED: usize = 64;

/// A tag: a letter, digit or underscore, then up to 299 of those, dots and dashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Box<str>);

impl Tag {
    /// The tag as it goes into a path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for what refers to a manifest: `sha256-HEX` of the distribution specification, which has a list of it
    /// there for registries without the API, or what tools hang on it, as in `sha256-HEX.sig`.
    pub fn is_of_referrers(&self) -> bool {
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        ["sha256-", "sha512-"]
            .iter()
            .filter_map(|algorithm| self.0.strip_prefix(algorithm))
            .any(|rest| rest.bytes().take_while(is_hex).count() >= REFERRED)
    }
}

impl FromStr for Tag {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self, ParseError> {
        let wrong = |problem| Err(ParseError::new(Word::Tag, problem, s));
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if s.len() > MAX_LEN {
            return wrong("longer than 300 characters");
        }
        if !s.bytes().next().is_some_and(is_word) {
            return wrong("does not start with a letter, digit or underscore");
        }
        if !s.bytes().all(|b| is_word(b) || b == b'.' || b == b'-') {
            return wrong("holds more than letters, digits, underscores, dots and dashes");
        }
        Ok(Self(s.into()))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_the_specification_and_longer_ones_are_taken() {
        let longest = "v".repeat(300);
        for tag in ["latest", "v1.2.3", "_x", "1-2_3.4", "UPPER", "a", &longest] {
            assert_eq!(tag.parse::<Tag>().unwrap().to_string(), tag);
        }
    }

    #[test]
    fn a_tag_of_referrers_is_known_by_the_digest_in_it() {
        let is = |tag: &str| tag.parse::<Tag>().unwrap().is_of_referrers();
        let hex = "0f".repeat(32);
        for tag in [
            "sha256-HEX",
            "sha512-HEX",
            "sha512-HEXHEX",
            "sha256-HEX.sig",
        ] {
            assert!(is(&tag.replace("HEX", &hex)), "{tag}");
        }
        for tag in ["sha256-abc", "sha256.HEX", "sha1-HEX", "HEX", "latest"] {
            assert!(!is(&tag.replace("HEX", &hex)), "{tag}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let longer = "v".repeat(301);
        for tag in [
            "", ".a", "-a", "a b", "a/b", "a:b", "a@b", "a+b", "ä", "a\n", &longer,
        ] {
            assert_eq!(tag.parse::<Tag>().unwrap_err().word(), Word::Tag, "{tag}");
        }
    }
}
