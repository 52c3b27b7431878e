//! `[upstream."HOST".repositories."team/*"]`: settings of some of an upstream's repositories only.

use std::{cmp::Reverse, fmt};

use manifest_model::{Platform, RepoName};
use protocol::host::glob;
use serde::{Serialize, Serializer};

use super::resolve::Resolve;
use crate::{
    meaning::{Meaning, Wrong},
    platform::PlatformValue,
    problem::Problem,
    show,
    table::Table,
};

/// The rules of one upstream, the most specific first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Repositories(Vec<RepositoryRule>);

/// Settings of the repositories a pattern matches; the upstream's hold where it has none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RepositoryRule {
    #[serde(skip)]
    pattern: RepoPattern,
    /// When a tag that is an index is answered by one of its children.
    pub resolve: Option<Resolve>,
    /// The platform of a client when there is no other hint.
    #[serde(serialize_with = "show::optional_text")]
    pub platform: Option<Platform>,
}

/// A repository with wildcards: `*` is any run of characters, slashes too, `?` is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoPattern(String);

const EXPECTED: &str = "a table such as [upstream.\"docker.io\".repositories.\"team/*\"]";

impl Repositories {
    /// The rule for a repository: of all whose pattern matches, the one with the most characters
    /// spelled out.
    pub fn rule(&self, repository: &RepoName) -> Option<&RepositoryRule> {
        self.0.iter().find(|rule| rule.pattern.matches(repository))
    }

    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let mut rules = Vec::new();
        for (pattern, rule) in table.entries("repositories") {
            let keys = rule.table(EXPECTED, |table| {
                let resolve = table.take("resolve");
                let platform = table.take("platform");
                (resolve, platform.map(|PlatformValue(platform)| platform))
            });
            let (Some(pattern), Some((resolve, platform))) = (pattern, keys) else {
                continue;
            };
            let (span, pattern): (_, RepoPattern) = (pattern.span(), pattern.into_inner());
            if resolve.is_none() && platform.is_none() {
                let problem = Problem::new(span, format!("the rule for `{}` is empty", pattern.0))
                    .label("changes nothing")
                    .help("set `resolve` or `platform` in it, or remove it");
                table.problems.add(problem);
            }
            rules.push(RepositoryRule {
                pattern,
                resolve,
                platform,
            });
        }
        rules.sort_by(|a, b| a.pattern.rank().cmp(&b.pattern.rank()));
        Self(rules)
    }
}

impl Serialize for Repositories {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|rule| (&rule.pattern.0, rule)))
    }
}

impl fmt::Display for RepoPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl RepoPattern {
    pub(super) fn matches(&self, repository: &RepoName) -> bool {
        glob::matches(self.0.as_bytes(), repository.as_str().as_bytes())
    }

    /// The smaller, the more specific; the text makes the order one that a printed file keeps.
    fn rank(&self) -> (Reverse<usize>, &str) {
        let spelled = self.0.bytes().filter(|byte| !matches!(byte, b'*' | b'?'));
        (Reverse(spelled.count()), &self.0)
    }
}

impl Meaning for RepoPattern {
    const WHAT: &'static str = "a repository's name or a pattern";
    const EXAMPLE: &'static str = "\"team/*\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        match text.replace(['*', '?'], "x").parse::<RepoName>() {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(Wrong::new("no repository can match this").help(
                "write it without the registry, in lower case: \"team/*\"; `*` stands for any run of characters, `?` for one",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;

    #[test]
    fn the_most_specific_rule_counts_and_what_it_leaves_out_is_the_upstreams() {
        let text = r#"
[upstream."a.example"]
resolve = "needed"
platform = "linux/s390x"
repositories."*" = { resolve = "always" }
repositories."team/*" = { platform = "linux/arm64" }
repositories."team/app" = { resolve = "explicit" }
"#;
        let config = Config::parse("archway.toml", text).unwrap();
        let upstream = config
            .upstreams
            .find(&"a.example".parse().unwrap())
            .unwrap();
        let said = |name: &str| {
            let name = name.parse().unwrap();
            let platform = upstream.platform_of(&name).unwrap().to_string();
            (upstream.resolve_of(&name).word(), platform)
        };
        assert_eq!(said("other"), ("always", "linux/s390x".to_owned()));
        assert_eq!(said("team/x/y"), ("needed", "linux/arm64".to_owned()));
        assert_eq!(said("team/app"), ("explicit", "linux/s390x".to_owned()));
    }
}
