//! References: the two ways to ask for a manifest.

use std::{fmt, str::FromStr};

use crate::{Digest, ParseError, Tag};

/// Names a manifest within a repository by a tag, which may move, or by a digest, which may not.
///
/// Every digest holds a colon and no tag does, so a text is never both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// By a name that may point to another manifest tomorrow.
    Tag(Tag),
    /// By its content.
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self, ParseError> {
        if s.contains(':') {
            s.parse().map(Self::Digest)
        } else {
            s.parse().map(Self::Tag)
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(formatter),
            Self::Digest(digest) => digest.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, Word};

    #[test]
    fn a_colon_makes_it_a_digest() {
        let digest = Digest::of(Algorithm::Sha256, b"x");
        assert_eq!(digest.to_string().parse(), Ok(Reference::Digest(digest)));
        assert_eq!(
            "latest".parse(),
            Ok(Reference::Tag("latest".parse().unwrap()))
        );
    }

    #[test]
    fn a_malformed_digest_is_not_taken_for_a_tag() {
        assert_eq!(
            "sha256:00".parse::<Reference>().unwrap_err().word(),
            Word::Digest
        );
        assert_eq!(":".parse::<Reference>().unwrap_err().word(), Word::Digest);
        assert_eq!("".parse::<Reference>().unwrap_err().word(), Word::Tag);
    }

    #[test]
    fn display_is_the_inverse_of_parsing() {
        for text in ["v1.0", &Digest::of(Algorithm::Sha512, b"").to_string()] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
    }
}
