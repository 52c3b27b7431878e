//! Tags: the names a registry may move.

use std::{fmt, str::FromStr};

use crate::{
    Digest,
    error::{ParseError, Word},
};

/// The longest tag. The distribution specification allows 128 characters; ECR allows 300, so a
/// proxy in front of it must too.
const MAX_TAG_CHARS: usize = 300;

/// The hex digits in a tag of referrers; the specification truncates longer digests to as many.
const REFERRERS_HEX_DIGITS: usize = 64;

/// A tag: a letter, digit or underscore, then up to 299 of those, dots and dashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Box<str>);

impl Tag {
    /// The tag as a path carries it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a tag of referrers: `sha256-HEX`, under which the distribution specification
    /// lists the referrers of a manifest for registries without that API, or a variation by a tool,
    /// as in `sha256-HEX.sig`.
    pub fn is_of_referrers(&self) -> bool {
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        ["sha256-", "sha512-"]
            .iter()
            .filter_map(|algorithm| self.0.strip_prefix(algorithm))
            .any(|rest| rest.bytes().take_while(is_hex).count() >= REFERRERS_HEX_DIGITS)
    }

    /// The subject that a tag of referrers names, and what a tool has added to it, as in `.sig`.
    /// `None` for any other tag; for SHA-512 too, whose digits do not fit into a tag.
    pub fn subject(&self) -> Option<(Digest, &str)> {
        let rest = self.0.strip_prefix("sha256-")?;
        let (hex, added) = rest.split_at_checked(REFERRERS_HEX_DIGITS)?;
        Some((format!("sha256:{hex}").parse().ok()?, added))
    }
}

impl FromStr for Tag {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self, ParseError> {
        let wrong = |problem| Err(ParseError::new(Word::Tag, problem, s));
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if s.len() > MAX_TAG_CHARS {
            return wrong("longer than 300 characters");
        }
        if !s.bytes().next().is_some_and(is_word) {
            return wrong("does not start with a letter, digit or underscore");
        }
        if !s.bytes().all(|b| is_word(b) || b == b'.' || b == b'-') {
            return wrong("not only letters, digits, underscores, dots and dashes");
        }
        Ok(Self(s.into()))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_the_specification_and_longer_ones_are_accepted() {
        let longest = "v".repeat(300);
        for tag in ["latest", "v1.2.3", "_x", "1-2_3.4", "UPPER", "a", &longest] {
            assert_eq!(tag.parse::<Tag>().unwrap().to_string(), tag);
        }
    }

    #[test]
    fn a_tag_of_referrers_names_its_subject() {
        let digest = Digest::of(crate::Algorithm::Sha256, b"");
        for added in ["", ".sig", "-x"] {
            let tag: Tag = format!("sha256-{}{added}", digest.hex()).parse().unwrap();
            assert_eq!(tag.subject(), Some((digest, added)));
        }
        for other in ["latest", "sha256-0f", "sha512-0f"] {
            let tag: Tag = other.parse().unwrap();
            assert_eq!(tag.subject(), None, "{other}");
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
