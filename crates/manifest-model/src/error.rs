//! What can be wrong with a word, a descriptor or a manifest.
//!
//! The errors tell the caller's decisions apart and carry no text of a library. Input that is repeated in a message is
//! escaped and shortened, so that an error can go to a log or a client whatever the input was.

use std::fmt;

/// The longest input a [`ParseError`] repeats, in characters.
const MAX_INPUT: usize = 80;

/// What a [`ParseError`] was expected to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// A digest algorithm.
    Algorithm,
    /// A digest.
    Digest,
    /// The name of a repository.
    RepoName,
    /// A tag.
    Tag,
    /// A platform.
    Platform,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Algorithm => "digest algorithm",
            Self::Digest => "digest",
            Self::RepoName => "repository name",
            Self::Tag => "tag",
            Self::Platform => "platform",
        })
    }
}

/// A word that does not follow its grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {word} \"{input}\": {problem}")]
pub struct ParseError {
    word: Word,
    problem: &'static str,
    input: Box<str>,
}

impl ParseError {
    pub(crate) fn new(word: Word, problem: &'static str, input: &str) -> Self {
        let input = shorten(input).into_boxed_str();
        Self {
            word,
            problem,
            input,
        }
    }

    /// What the input was expected to be.
    pub fn word(&self) -> Word {
        self.word
    }

    /// What was wrong with it, as a clause.
    pub fn problem(&self) -> &'static str {
        self.problem
    }

    /// The input: escaped, and cut to 80 characters of printable text.
    pub fn input(&self) -> &str {
        &self.input
    }
}

/// Escapes control characters and quotes, and cuts what is longer than [`MAX_INPUT`].
fn shorten(input: &str) -> String {
    const CUT: &str = "...";
    let mut escaped: String = input
        .chars()
        .flat_map(char::escape_debug)
        .take(MAX_INPUT + 1)
        .collect();
    if let Some((end, _)) = escaped.char_indices().nth(MAX_INPUT) {
        let keep = escaped[..end]
            .char_indices()
            .nth(MAX_INPUT - CUT.len())
            .map_or(end, |(at, _)| at);
        escaped.truncate(keep);
        escaped.push_str(CUT);
    }
    escaped
}

/// A descriptor that no client could follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// It is not a JSON object, or names a field twice.
    #[error("not an object with one value for each field")]
    Malformed,
    /// A field of it holds a value of the wrong type; a size must be a whole number that is not negative.
    #[error("its {field} has a value it cannot have")]
    Field {
        /// The field's name in JSON.
        field: &'static str,
    },
    /// Its digest is not one, or is missing.
    #[error(transparent)]
    Digest(#[from] ParseError),
}

/// A body that is not a manifest we may pass on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is larger than [`MAX_MANIFEST_BYTES`](crate::MAX_MANIFEST_BYTES).
    #[error(
        "manifest of {size} bytes is larger than the {} bytes allowed",
        crate::MAX_MANIFEST_BYTES
    )]
    TooLarge {
        /// The size it has.
        size: usize,
    },
    /// It is not JSON.
    #[error("not JSON")]
    NotJson,
    /// It is JSON, but not an object, or names a field twice.
    #[error("not a JSON object with one value for each field")]
    NotObject,
    /// It could be read as an index and as an image, so that two clients may see two different things in it.
    #[error("both an index and an image manifest")]
    Ambiguous,
    /// Neither its media type nor its fields say what kind of manifest it is.
    #[error("nothing says what kind of manifest it is")]
    Unrecognised,
    /// A field holds a value of the wrong type.
    #[error("{field} has a value it cannot have")]
    Field {
        /// The field's name in JSON.
        field: &'static str,
    },
    /// The descriptor in a field is malformed.
    #[error("{field} is malformed: {source}")]
    Descriptor {
        /// The field's name in JSON.
        field: &'static str,
        /// What is wrong with it.
        source: DescriptorError,
    },
    /// An entry of a list of descriptors is malformed.
    #[error("{field}[{index}] is malformed: {source}")]
    Entry {
        /// The list's name in JSON.
        field: &'static str,
        /// The position in the list, from 0.
        index: usize,
        /// What is wrong with it.
        source: DescriptorError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(text: &str) -> String {
        ParseError::new(Word::Tag, "wrong", text).input().to_owned()
    }

    #[test]
    fn short_input_is_repeated_whole() {
        assert_eq!(input("a/b"), "a/b");
        assert_eq!(input(&"x".repeat(80)), "x".repeat(80));
        assert_eq!(
            ParseError::new(Word::Tag, "no", "a/b").to_string(),
            "invalid tag \"a/b\": no"
        );
    }

    #[test]
    fn long_input_is_cut_to_80_characters() {
        assert_eq!(input(&"x".repeat(81)), format!("{}...", "x".repeat(77)));
        assert_eq!(input(&"é".repeat(5000)).chars().count(), 80);
    }

    #[test]
    fn control_characters_and_quotes_are_escaped() {
        assert_eq!(input("a\r\n\"\u{7f}"), "a\\r\\n\\\"\\u{7f}");
        assert!(input(&"\0".repeat(500)).chars().count() <= 80);
    }

    #[test]
    fn a_manifest_error_says_where() {
        let source = DescriptorError::Field { field: "size" };
        let error = ManifestError::Entry {
            field: "manifests",
            index: 3,
            source,
        };
        assert_eq!(
            error.to_string(),
            "manifests[3] is malformed: its size has a value it cannot have"
        );
    }
}
