//! `[upstream."HOST".repositories."team/*"]`: what holds for some of an upstream's repositories only.

use std::cmp::Reverse;

use manifest_model::{Platform, RepoName};
use protocol::host::glob;
use serde::Deserialize;

use super::Resolve;
use crate::{
    error::{Problem, Problems},
    field::{Entries, Field, Meaning, Wrong},
    platform::PlatformValue,
    print::{Page, quoted},
};

/// The rules of one upstream, the most specific first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Repositories(Vec<RepositoryRule>);

/// What holds for the repositories a pattern means; what it leaves out is as for the whole upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct RepositoryRule {
    pattern: RepoPattern,
    /// When a tag that is an index is answered by one of its children.
    pub resolve: Option<Resolve>,
    /// What a client is taken for when nothing else speaks.
    pub platform: Option<Platform>,
}

/// A repository with wildcards: `*` is any run of characters, slashes too, `?` is one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RepoPattern(String);

#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a table such as [upstream.\"docker.io\".repositories.\"team/*\"]"
)]
struct RawRule {
    resolve: Option<Field<Resolve>>,
    platform: Option<Field<PlatformValue>>,
}

/// The table as the file has it.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct RawRepositories(Entries<RepoPattern, RawRule>);

impl Repositories {
    /// The rule for a repository: of all whose pattern matches, the one with the most characters spelled out.
    pub fn rule(&self, repository: &RepoName) -> Option<&RepositoryRule> {
        self.0.iter().find(|rule| rule.pattern.matches(repository))
    }

    pub(super) fn print(&self, upstream: &str, page: &mut Page) {
        for rule in &self.0 {
            let (upstream, pattern) = (quoted(upstream), quoted(&rule.pattern.0));
            page.header(&format!("[upstream.{upstream}.repositories.{pattern}]"));
            if let Some(resolve) = rule.resolve {
                page.string("resolve", resolve.word());
            }
            if let Some(platform) = &rule.platform {
                page.string("platform", &platform.to_string());
            }
        }
    }
}

impl RawRepositories {
    pub(super) fn resolve(self, problems: &mut Problems) -> Repositories {
        let mut rules = Vec::new();
        for (key, raw) in self.0.0 {
            let span = key.span.clone();
            let resolve = raw
                .resolve
                .and_then(|field| field.take("resolve", problems));
            let platform = raw
                .platform
                .and_then(|field| field.take("platform", problems));
            let Some(pattern) = key.take("repositories", problems) else {
                continue;
            };
            if resolve.is_none() && platform.is_none() {
                let problem = Problem::new(span, format!("the rule for `{}` is empty", pattern.0));
                problems.add(
                    problem
                        .label("changes nothing")
                        .help("set `resolve` or `platform` below it, or leave it out"),
                );
            }
            rules.push(RepositoryRule {
                pattern,
                resolve,
                platform: platform.map(|PlatformValue(platform)| platform),
            });
        }
        rules.sort_by(|a, b| a.pattern.rank().cmp(&b.pattern.rank()));
        Repositories(rules)
    }
}

impl RepoPattern {
    fn matches(&self, repository: &RepoName) -> bool {
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
    const EXAMPLE: &'static str = "[upstream.\"docker.io\".repositories.\"team/*\"]";

    fn read(text: &str) -> Result<Self, Wrong> {
        match text.replace(['*', '?'], "x").parse::<RepoName>() {
            Ok(_) => Ok(RepoPattern(text.to_owned())),
            Err(_) => Err(Wrong::new("no repository could match this").help(
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
