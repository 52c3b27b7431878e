//! Patterns over tags, for `immutable_tags`.

use std::fmt;

use manifest_model::Tag;
use protocol::host::glob;
use serde::{Serialize, Serializer};

use crate::meaning::{Meaning, Wrong};

/// A tag with wildcards: `*` is any run of characters, `?` is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPattern(String);

impl TagPattern {
    /// Whether the whole tag fits.
    pub fn matches(&self, tag: &Tag) -> bool {
        glob::matches(self.0.as_bytes(), tag.as_str().as_bytes())
    }
}

impl fmt::Display for TagPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for TagPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Meaning for TagPattern {
    const WHAT: &'static str = "a pattern over tags";
    const EXAMPLE: &'static str = "\"v*.*.*\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        let with_letters = text.replace(['*', '?'], "x");
        match with_letters.parse::<Tag>() {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(Wrong::new("no tag can match this")
                .help("a tag has letters, digits, `_`, `.` and `-`; `*` stands for any run of them, `?` for one")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_the_whole_tag() {
        let pattern = TagPattern::read("v*.*.*").unwrap();
        for (tag, expected) in [
            ("v1.2.3", true),
            ("v1.2.3-rc1", true),
            ("v1.2", false),
            ("1.2.3", false),
        ] {
            assert_eq!(pattern.matches(&tag.parse().unwrap()), expected, "{tag}");
        }
    }

    #[test]
    fn a_pattern_that_fits_no_tag_is_refused() {
        assert!(TagPattern::read("").is_err());
        assert!(TagPattern::read("a/b*").is_err());
    }
}
