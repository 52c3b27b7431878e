//! Names with a stem, as in a makefile's pattern rule: `team/*:*-arm64`.

use std::fmt;

use manifest_model::{RepoName, Tag};
use serde::{Serialize, Serializer};

use crate::meaning::{Meaning, Wrong};

/// `REPOSITORY:TAG`, with at most one `*` on each side of the colon.
///
/// In a rule's name a `*` is any run of characters, the stem; in a template it is the stem of the
/// name on the same side. One `*` on a side leaves no doubt which part of a name it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    repository: Side,
    tag: Side,
}

/// Text, perhaps with a stem in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Side {
    before: String,
    /// What comes after the stem; `None` where there is none.
    after: Option<String>,
}

impl NamePattern {
    pub(super) fn matches(&self, repository: &RepoName, tag: &Tag) -> bool {
        self.repository.stem(repository.as_str()).is_some() && self.tag.stem(tag.as_str()).is_some()
    }

    /// The name `template` means for a name that this pattern matches.
    pub(super) fn apply(
        &self,
        template: &Self,
        repository: &RepoName,
        tag: &Tag,
    ) -> Option<(RepoName, Tag)> {
        let tag = template.tag.fill(self.tag.stem(tag.as_str())?);
        Some((self.repository_of(template, repository)?, tag.parse().ok()?))
    }

    /// The repository of [`Self::apply`], which depends on no tag.
    pub(super) fn repository_of(&self, template: &Self, repository: &RepoName) -> Option<RepoName> {
        let stem = self.repository.stem(repository.as_str())?;
        template.repository.fill(stem).parse().ok()
    }

    /// Whether every `*` of `template` has one here to take its text from.
    pub(super) fn can_fill(&self, template: &Self) -> bool {
        self.repository.after.is_some() >= template.repository.after.is_some()
            && self.tag.after.is_some() >= template.tag.after.is_some()
    }
}

impl Side {
    /// `None` for more than one `*`.
    fn read(text: &str) -> Option<Self> {
        let side = match text.split_once('*') {
            Some((before, after)) => Self {
                before: before.to_owned(),
                after: Some(after.to_owned()),
            },
            None => Self {
                before: text.to_owned(),
                after: None,
            },
        };
        let twice = side.after.as_ref().is_some_and(|after| after.contains('*'));
        (!twice).then_some(side)
    }

    /// The text of the `*` in `text`; empty where there is no `*`. `None` when the text does not
    /// fit.
    fn stem<'a>(&self, text: &'a str) -> Option<&'a str> {
        let rest = text.strip_prefix(self.before.as_str())?;
        match &self.after {
            Some(after) => rest.strip_suffix(after.as_str()),
            None => rest.is_empty().then_some(rest),
        }
    }

    fn fill(&self, stem: &str) -> String {
        match &self.after {
            Some(after) => format!("{}{stem}{after}", self.before),
            None => self.before.clone(),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.fill("*"))
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.repository, self.tag)
    }
}

impl Serialize for NamePattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Meaning for NamePattern {
    const WHAT: &'static str = "a repository and a tag";
    const EXAMPLE: &'static str = "\"team/*:*-arm64\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        let Some((repository, tag)) = text.split_once(':') else {
            return Err(
                Wrong::new("the tag is missing").help(format!("write \"{text}:*\" for every tag"))
            );
        };
        let (Some(repository), Some(tag)) = (Side::read(repository), Side::read(tag)) else {
            return Err(Wrong::new("more than one `*` on a side of the colon"));
        };
        if repository.fill("x").parse::<RepoName>().is_err() {
            return Err(Wrong::new("no repository could have this name"));
        }
        if tag.fill("x").parse::<Tag>().is_err() {
            return Err(Wrong::new("no tag could have this name"));
        }
        Ok(Self { repository, tag })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(name: &str, template: &str, repository: &str, tag: &str) -> Option<String> {
        let (name, template) = (
            NamePattern::read(name).unwrap(),
            NamePattern::read(template).unwrap(),
        );
        let (repository, tag) = name.apply(
            &template,
            &repository.parse().unwrap(),
            &tag.parse().unwrap(),
        )?;
        Some(format!("{repository}:{tag}"))
    }

    #[test]
    fn a_stem_goes_from_the_name_into_the_template_side_by_side() {
        let cases = [
            (
                "team/*:*",
                "team/*:*-arm64",
                "team/app",
                "v1",
                Some("team/app:v1-arm64"),
            ),
            (
                "*:latest",
                "*:arm64",
                "a/b/hello",
                "latest",
                Some("a/b/hello:arm64"),
            ),
            (
                "*:*",
                "*-linux-arm64:*",
                "my-image",
                "2.7",
                Some("my-image-linux-arm64:2.7"),
            ),
            ("*:*-arm64", "*:*", "hello", "1.0-arm64", Some("hello:1.0")),
            (
                "*-linux-arm64:*",
                "*:*",
                "my-image-linux-arm64",
                "2.7",
                Some("my-image:2.7"),
            ),
            (
                "hello:latest",
                "other:one",
                "hello",
                "latest",
                Some("other:one"),
            ),
            ("team/*:*", "x:y", "other/app", "v1", None),
            ("hello:latest", "other:one", "hello2", "latest", None),
        ];
        for (name, template, repository, tag, expected) in cases {
            assert_eq!(
                applied(name, template, repository, tag).as_deref(),
                expected,
                "{name} {template}"
            );
        }
    }

    #[test]
    fn the_text_around_a_stem_does_not_overlap() {
        let pattern = NamePattern::read("a*a:v1").unwrap();
        let tag = "v1".parse().unwrap();
        assert!(!pattern.matches(&"a".parse().unwrap(), &tag));
        assert!(pattern.matches(&"aa".parse().unwrap(), &tag));
    }

    #[test]
    fn what_no_registry_could_have_is_no_name() {
        assert_eq!(applied("*:*", "*:*-arm64", "a", &"v".repeat(299)), None);
        for text in [
            "hello", "*:*:*", "Hello:v1", "hello:", ":v1", "a**:v1", "a:-x", "a/:v1",
        ] {
            assert!(NamePattern::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn display_is_the_inverse_of_reading() {
        for text in ["team/*:*-arm64", "hello:latest", "*:*", "*-x:v*"] {
            assert_eq!(NamePattern::read(text).unwrap().to_string(), text);
        }
    }
}
