//! `[[upstream."HOST".virtual_index]]` and `[[upstream."HOST".alias]]`: names answered from other
//! names of the same registry.
//!
//! For repositories that still have, or no longer have, a name for each architecture.

mod pattern;

use std::{ops::Range, sync::Arc};

use manifest_model::{Platform, RepoName, Tag};
pub use pattern::NamePattern;
use serde::{Serialize, Serializer, ser::SerializeMap};
use toml::Spanned;

use crate::{
    meaning::{Meaning, Wrong},
    platform::PlatformValue,
    problem::{Problem, Problems},
    show, suggest,
    table::{Table, Value},
};

/// The rules of an upstream. The first that matches the requested name counts: aliases before
/// virtual indexes, each in the order of the file. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules(Arc<[Rule]>);

/// The names that a rule is for, and its answer to them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rule {
    /// The names it is for.
    pub name: NamePattern,
    /// Its answer.
    #[serde(flatten)]
    pub answer: RuleAnswer,
    /// Whether the upstream or the rule goes first.
    pub prefer: Prefer,
}

/// The answer of a rule. The names are templates: their `*` takes the text that the `*` of the
/// rule's name matched.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum RuleAnswer {
    /// An index of the images that the sources have.
    Index {
        /// The names to look at; never empty.
        sources: Vec<NamePattern>,
        /// The platforms that the index must have at least.
        #[serde(serialize_with = "show::texts")]
        platforms: Vec<Platform>,
    },
    /// The one image for a platform.
    Child {
        /// The name of the index it is in.
        target: NamePattern,
        /// The platform.
        #[serde(serialize_with = "show::text")]
        platform: Platform,
    },
}

/// Whether a rule answers although the upstream has the very name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Prefer {
    /// The upstream's own answer, if it has one.
    Upstream,
    /// The rule's.
    Rule,
}

/// The most names one rule looks at: each costs a question.
const MAX_SOURCES: usize = 32;

impl Rules {
    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let expected = "a table such as [[upstream.\"docker.io\".virtual_index]]";
        let indexes = table.sections("virtual_index", expected, Rule::read_index);
        let expected = "a table such as [[upstream.\"docker.io\".alias]]";
        let aliases = table.sections("alias", expected, Rule::read_alias);
        refuse_circles(&aliases, table.problems);
        let aliases = aliases.into_iter().flatten().map(|(_, alias)| alias);
        Self(aliases.chain(indexes.into_iter().flatten()).collect())
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
}

impl Rule {
    /// The names this rule looks at for a name it matches. A text that cannot be a name is left
    /// out: no registry has it.
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

    fn read_index(table: &mut Table<'_>) -> Option<Self> {
        let name = table.required("name").map(Spanned::into_inner);
        let fields = table.required_value("sources");
        let fields = fields.and_then(Value::spanned_list);
        let platforms = table.list("platforms").into_iter();
        let prefer = table.or("prefer", Prefer::Upstream);
        let fields = fields?;
        let count = fields.get_ref().len();
        if !(1..=MAX_SOURCES).contains(&count) {
            let problem = Problem::new(fields.span(), "`sources` has too few or too many names");
            let label = format!("from 1 to {MAX_SOURCES} are possible");
            table.problems.add(problem.label(label));
        }
        let fields = fields.into_inner().into_iter();
        let sources = fields
            .filter_map(|field| template(field, "sources", name.as_ref(), table.problems))
            .collect();
        let platforms = platforms.map(|PlatformValue(platform)| platform).collect();
        Some(Self {
            name: name?,
            answer: RuleAnswer::Index { sources, platforms },
            prefer,
        })
    }

    /// An alias, and the place of its target.
    fn read_alias(table: &mut Table<'_>) -> Option<(Range<usize>, Self)> {
        let name = table.required("name").map(Spanned::into_inner);
        let target = table.required_value("target");
        let span = target.as_ref().map(|target| target.span.clone());
        let target =
            target.and_then(|field| template(field, "target", name.as_ref(), table.problems));
        let platform = table.required("platform").map(Spanned::into_inner);
        let prefer = table.or("prefer", Prefer::Upstream);
        let PlatformValue(platform) = platform?;
        let alias = Self {
            name: name?,
            answer: RuleAnswer::Child {
                target: target?,
                platform,
            },
            prefer,
        };
        Some((span?, alias))
    }
}

impl Serialize for Rules {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rules = self.0.iter();
        let (aliases, indexes): (Vec<_>, Vec<_>) =
            rules.partition(|rule| matches!(rule.answer, RuleAnswer::Child { .. }));
        let mut table = serializer.serialize_map(None)?;
        for (key, rules) in [("virtual_index", indexes), ("alias", aliases)] {
            if !rules.is_empty() {
                table.serialize_entry(key, &rules)?;
            }
        }
        table.end()
    }
}

/// Notes aliases that lead to themselves, also by way of others: no name of theirs has an answer.
fn refuse_circles(aliases: &[Option<(Range<usize>, Rule)>], problems: &Problems) {
    let aliases = || aliases.iter().flatten();
    let target = |rule: &Rule| match &rule.answer {
        RuleAnswer::Child { target, .. } => Some(target.clone()),
        RuleAnswer::Index { .. } => None,
    };
    for (span, alias) in aliases() {
        let mut next = target(alias);
        for _ in 0..=aliases().count() {
            let Some(name) = next else { break };
            if name == alias.name {
                let problem = Problem::new(span.clone(), "the alias leads back to its own name");
                let problem = problem.label("from here, aliases lead back to `name`");
                problems.add(
                    problem.help("name a tag that the registry has, or that a virtual_index makes"),
                );
                break;
            }
            let found = aliases().find(|(_, other)| other.name == name);
            next = found.and_then(|(_, other)| target(other));
        }
    }
}

/// A name made of the rule's; its `*` needs one to take its text from.
fn template(
    field: Value<'_>,
    key: &str,
    name: Option<&NamePattern>,
    problems: &Problems,
) -> Option<NamePattern> {
    let span = field.span.clone();
    let template = field.read(key)?.into_inner();
    if name.is_some_and(|name| !name.can_fill(&template)) {
        let problem = Problem::new(span, format!("`{key}` has a `*` that stands for nothing"))
            .label("`name` has none on this side of the colon")
            .help("a `*` in the repository stands for that of the name's repository, one in the tag for that of its tag");
        problems.add(problem);
        return None;
    }
    Some(template)
}

impl Meaning for Prefer {
    const WHAT: &'static str = "who answers first";
    const EXAMPLE: &'static str = "\"upstream\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        suggest::word(text, [("upstream", Self::Upstream), ("rule", Self::Rule)])
    }
}

#[cfg(test)]
mod tests;
