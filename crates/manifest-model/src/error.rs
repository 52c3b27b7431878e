//! The errors: a word, a descriptor or a manifest that breaks its rules.
//!
//! Each variant is one decision for the caller; none carries the text of a library. Input that a
//! message repeats is escaped and shortened, so that every error may go to a log or a client.

use std::fmt;

use crate::limits::MAX_MANIFEST_BYTES;

/// The longest input a [`ParseError`] repeats, in characters.
const MAX_INPUT_CHARS: usize = 80;

/// The kind of word a [`ParseError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// An [`Algorithm`](crate::Algorithm).
    Algorithm,
    /// A [`Digest`](crate::Digest).
    Digest,
    /// A [`RepoName`](crate::RepoName).
    RepoName,
    /// A [`Tag`](crate::Tag).
    Tag,
    /// A [`Platform`](crate::Platform).
    Platform,
}

impl fmt::Display for Word {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Algorithm => "digest algorithm",
            Self::Digest => "digest",
            Self::RepoName => "repository name",
            Self::Tag => "tag",
            Self::Platform => "platform",
        })
    }
}

/// A word that breaks its grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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

    /// The kind of word that was expected.
    pub fn word(&self) -> Word {
        self.word
    }

    /// The rule it breaks, as a phrase that can follow a colon.
    pub fn problem(&self) -> &'static str {
        self.problem
    }

    /// The input, escaped and cut to 80 printable characters.
    pub fn input(&self) -> &str {
        &self.input
    }
}

/// Escapes control characters and quotes, then cuts the text to [`MAX_INPUT_CHARS`].
fn shorten(input: &str) -> String {
    const CUT: &str = "...";
    let mut escaped: String = input
        .chars()
        .flat_map(char::escape_debug)
        .take(MAX_INPUT_CHARS + 1)
        .collect();
    if let Some((end, _)) = escaped.char_indices().nth(MAX_INPUT_CHARS) {
        let keep = escaped[..end]
            .char_indices()
            .nth(MAX_INPUT_CHARS - CUT.len())
            .map_or(end, |(at, _)| at);
        escaped.truncate(keep);
        escaped.push_str(CUT);
    }
    escaped
}

/// Why a descriptor cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DescriptorError {
    /// It is not a JSON object.
    #[error("not a JSON object")]
    Malformed,
    /// A field has a value of the wrong type. A size must be a whole number and not negative.
    #[error("its {field} has an invalid value")]
    Field {
        /// The field's name in JSON.
        field: &'static str,
    },
    /// Its digest is malformed or missing.
    #[error(transparent)]
    Digest(#[from] ParseError),
}

/// A body that is no manifest: what an upstream answers instead of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is larger than [`MAX_MANIFEST_BYTES`].
    #[error("manifest of {size} bytes is above the limit of {MAX_MANIFEST_BYTES} bytes")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// It is not JSON.
    #[error("not JSON")]
    NotJson,
    /// It is JSON, but not an object.
    #[error("not a JSON object")]
    NotObject,
    /// Neither a media type nor its fields identify its kind.
    #[error("neither its media type nor its fields identify the kind of manifest")]
    Unrecognised,
}

/// Why nothing is chosen by a manifest that can be read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguity {
    /// One client could read it as an index and another as an image.
    #[error("both an index and an image manifest")]
    Kind,
    /// It has two keys that differ in case alone, and it depends on the one that counts what is
    /// chosen.
    #[error("two keys differ only in case, and which of them counts would decide")]
    Spelling,
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
}
