//! Repository names: lower-case path components joined by slashes.

use std::{fmt, str::FromStr};

use crate::error::{ParseError, Word};

/// The longest name: the limit of ECR. Docker's clients have 255, for host and name together.
const MAX_NAME_CHARS: usize = 256;

/// The name of a repository, as the distribution specification defines it.
///
/// Each component consists of runs of `a-z0-9` joined by one separator: a dot, one or two
/// underscores, or any number of dashes. A name has at most 256 characters and includes no host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoName(Box<str>);

impl RepoName {
    /// The name as a path carries it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepoName {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self, ParseError> {
        let wrong = |problem| Err(ParseError::new(Word::RepoName, problem, s));
        if s.len() > MAX_NAME_CHARS {
            return wrong("longer than 256 characters");
        }
        if s.split('/').all(is_component) {
            Ok(Self(s.into()))
        } else {
            wrong("not lower-case letters and digits joined by single separators")
        }
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Whether `s` consists of alphanumeric runs with one separator between each two.
fn is_component(s: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !s.starts_with(is_alphanumeric) || !s.ends_with(is_alphanumeric) {
        return false;
    }
    s.split(is_alphanumeric)
        .all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_specification_are_accepted() {
        let longest = "a".repeat(256);
        let names = [
            "a",
            "0",
            "library/nginx",
            "a/b/c/d",
            "a.b",
            "a_b",
            "a__b",
            "a-b",
            "a---b",
            "x1/2.y",
            &longest,
        ];
        for name in names {
            assert_eq!(name.parse::<RepoName>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn a_registry_host_is_a_name_as_long_as_it_has_no_port() {
        assert!(
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app"
                .parse::<RepoName>()
                .is_ok()
        );
        assert!("localhost:5000/app".parse::<RepoName>().is_err());
    }

    #[test]
    fn anything_else_is_refused() {
        let longer = "a".repeat(257);
        let names = [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "A",
            "library/Nginx",
            ".a",
            "a.",
            "a..b",
            "a___b",
            "a.-b",
            "a_.b",
            "-a",
            "a-",
            "a b",
            "a\0",
            "ä",
            "..",
            "a/../b",
            "a%2fb",
            &longer,
        ];
        for name in names {
            assert_eq!(
                name.parse::<RepoName>().unwrap_err().word(),
                Word::RepoName,
                "{name}"
            );
        }
    }
}
