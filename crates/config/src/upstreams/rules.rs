//! `[[upstream."HOST".virtual_index]]` and `[[upstream."HOST".alias]]`: names answered from other names of the same
//! registry, for repositories that are still, or no longer, on a name for each architecture.

mod pattern;

use std::sync::Arc;

use manifest_model::{Platform, RepoName, Tag};
pub use pattern::NamePattern;
use serde::Deserialize;
use serde_spanned::Spanned;

use crate::{
    error::{Problem, Problems},
    field::{Field, Meaning, Wrong, or},
    platform::PlatformValue,
    print::Page,
    suggest,
};

/// The rules of an upstream. The first that names what is asked for counts: aliases before virtual indexes, each in the
/// order of the file. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules(Arc<[Rule]>);

/// A name, and what it is answered by.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The names it is for.
    pub name: NamePattern,
    /// Who goes first.
    pub prefer: Prefer,
    /// What it is answered by.
    pub answer: RuleAnswer,
}

/// What a rule answers by. The names are templates: their `*` stands for what the `*` of the rule's name matched.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleAnswer {
    /// An index of whatever the sources are.
    Index {
        /// The names to look at; never empty.
        sources: Vec<NamePattern>,
        /// What the index must have at least.
        platforms: Vec<Platform>,
    },
    /// The one image for a platform.
    Child {
        /// The name of the index it is in.
        target: NamePattern,
        /// The platform.
        platform: Platform,
    },
}

/// Whether a rule answers although the upstream has the very name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefer {
    /// The upstream's own answer, if it has one.
    Upstream,
    /// The rule's.
    Rule,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawVirtualIndex {
    name: Field<NamePattern>,
    sources: Spanned<Vec<Field<NamePattern>>>,
    #[serde(default)]
    platforms: Vec<Field<PlatformValue>>,
    prefer: Option<Field<Prefer>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAlias {
    name: Field<NamePattern>,
    target: Field<NamePattern>,
    platform: Field<PlatformValue>,
    prefer: Option<Field<Prefer>>,
}

/// The most names one rule looks at: each costs a question.
const MAX_SOURCES: usize = 32;

impl Rules {
    pub(super) fn resolve(
        indexes: Vec<RawVirtualIndex>,
        aliases: Vec<RawAlias>,
        problems: &mut Problems,
    ) -> Rules {
        let aliases: Vec<_> = aliases
            .into_iter()
            .filter_map(|raw| raw.resolve(problems))
            .collect();
        let indexes = indexes.into_iter().filter_map(|raw| raw.resolve(problems));
        Rules(aliases.into_iter().chain(indexes).collect())
    }

    /// The rule for a name, if there is one.
    pub fn of(&self, repository: &RepoName, tag: &Tag) -> Option<&Rule> {
        self.0
            .iter()
            .find(|rule| rule.name.matches(repository, tag))
    }

    /// The other repositories that names of this one may be answered from, each once.
    pub fn lenders(&self, repository: &RepoName) -> Vec<RepoName> {
        let mut lenders = Vec::new();
        for rule in &*self.0 {
            for template in rule.templates() {
                let lender = rule.name.repository_of(template, repository);
                lenders.extend(lender.filter(|lender| lender != repository));
            }
        }
        lenders.sort();
        lenders.dedup();
        lenders
    }

    pub(super) fn print(&self, upstream: &str, page: &mut Page) {
        for rule in &*self.0 {
            rule.print(upstream, page);
        }
    }
}

impl Rule {
    /// The names this rule looks at for a name it is for. What cannot be a name at all is left out: no registry has it.
    pub fn looks_at(&self, repository: &RepoName, tag: &Tag) -> Vec<(RepoName, Tag)> {
        self.templates()
            .filter_map(|template| self.name.apply(template, repository, tag))
            .collect()
    }

    fn templates(&self) -> impl Iterator<Item = &NamePattern> {
        match &self.answer {
            RuleAnswer::Index { sources, .. } => sources.iter(),
            RuleAnswer::Child { target, .. } => std::slice::from_ref(target).iter(),
        }
    }

    fn print(&self, upstream: &str, page: &mut Page) {
        let kind = match &self.answer {
            RuleAnswer::Index { .. } => "virtual_index",
            RuleAnswer::Child { .. } => "alias",
        };
        page.header(&format!("[[upstream.{upstream}.{kind}]]"));
        page.string("name", &self.name.to_string());
        match &self.answer {
            RuleAnswer::Index { sources, platforms } => {
                page.list("sources", sources);
                page.list("platforms", platforms);
            }
            RuleAnswer::Child { target, platform } => {
                page.string("target", &target.to_string());
                page.string("platform", &platform.to_string());
            }
        }
        page.string("prefer", self.prefer.word());
    }
}

impl RawVirtualIndex {
    fn resolve(self, problems: &mut Problems) -> Option<Rule> {
        let span = self.sources.span();
        let fields = self.sources.into_inner();
        if fields.is_empty() || fields.len() > MAX_SOURCES {
            let problem = Problem::new(span, "`sources` has too few or too many names");
            problems.add(problem.label(format!("from 1 to {MAX_SOURCES} are possible")));
        }
        let name = self.name.take("name", problems);
        let mut sources = Vec::new();
        for field in fields {
            sources.extend(template(field, "sources", name.as_ref(), problems));
        }
        let platforms = self.platforms.into_iter();
        let platforms = platforms
            .filter_map(|field| field.take("platforms", problems))
            .map(|PlatformValue(platform)| platform)
            .collect();
        Some(Rule {
            name: name?,
            prefer: or(self.prefer, "prefer", Prefer::Upstream, problems),
            answer: RuleAnswer::Index { sources, platforms },
        })
    }
}

impl RawAlias {
    fn resolve(self, problems: &mut Problems) -> Option<Rule> {
        let name = self.name.take("name", problems);
        let target = template(self.target, "target", name.as_ref(), problems);
        let platform = self.platform.take("platform", problems);
        let prefer = or(self.prefer, "prefer", Prefer::Upstream, problems);
        Some(Rule {
            name: name?,
            prefer,
            answer: RuleAnswer::Child {
                target: target?,
                platform: platform?.0,
            },
        })
    }
}

/// A name made of the rule's; its `*` needs one to take its text from.
fn template(
    field: Field<NamePattern>,
    key: &str,
    name: Option<&NamePattern>,
    problems: &mut Problems,
) -> Option<NamePattern> {
    let span = field.span.clone();
    let template = field.take(key, problems)?;
    if name.is_some_and(|name| !name.can_fill(&template)) {
        let problem = Problem::new(span, format!("`{key}` has a `*` that stands for nothing"));
        problems.add(
            problem
                .label("`name` has none on this side of the colon")
                .help("a `*` in the repository stands for that of the name's repository, one in the tag for that of its tag"),
        );
        return None;
    }
    Some(template)
}

impl Prefer {
    const ALL: [Prefer; 2] = [Prefer::Upstream, Prefer::Rule];

    fn word(self) -> &'static str {
        match self {
            Prefer::Upstream => "upstream",
            Prefer::Rule => "rule",
        }
    }
}

impl Meaning for Prefer {
    const WHAT: &'static str = "who answers first";
    const EXAMPLE: &'static str = "\"upstream\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        suggest::word(text, Prefer::ALL.map(|prefer| (prefer.word(), prefer)))
    }
}

#[cfg(test)]
mod tests;
