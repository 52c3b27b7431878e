//! The answer to `Archway-Explain: 1` on a manifest request: a header that explains the choice.
//!
//! It is made on request only, of the same values as the decision itself. The header holds one line
//! of JSON in ASCII, of at most [`MAX_HEADER_BYTES`] bytes. Entries that do not fit are left out
//! and counted.

use std::time::SystemTime;

use cache::Cache;
use http::{HeaderMap, HeaderValue};
use manifest_model::{Matcher, Reference, Verdict, verdicts};
use protocol::{
    explanation::{Entry, Explanation, RuleUsed, Said, TagAge},
    headers::{ARCHWAY_EXPLAIN, header_string},
};
use pull::{Hint, PlatformRequest, Repository, Served, Source, TagLife};

use super::{context::Context, platform_text::shortened};

/// The largest explanation: with all other headers it stays below what common clients and proxies
/// accept.
const MAX_HEADER_BYTES: usize = 6 * 1024;

/// The most entries explained.
const MAX_ENTRIES: usize = 40;

/// The most names of a rule that are told.
const MAX_SOURCES: usize = 8;

/// Whether the client asks for an explanation.
pub(super) fn is_wanted(request: &HeaderMap) -> bool {
    request
        .get(ARCHWAY_EXPLAIN)
        .is_some_and(|value| value.as_bytes() == b"1")
}

/// The values that decided how a manifest request is answered.
pub(super) struct Decision<'a> {
    pub(super) context: &'a Context,
    pub(super) repository: &'a Repository,
    pub(super) reference: &'a Reference,
    pub(super) served: &'a Served,
    pub(super) cache: &'a Cache,
    pub(super) takes_index: bool,
}

impl Decision<'_> {
    /// The header's value.
    pub(super) fn explain(&self) -> HeaderValue {
        header_string(self.explanation().into_header(MAX_HEADER_BYTES))
    }

    pub(super) fn explanation(&self) -> Explanation {
        let (answer, why) = self.verdict();
        let mut entries = Vec::new();
        if let Some(substitution) = self.served.substitution() {
            let matcher = Matcher::new(&substitution.platform);
            let judged = verdicts(self.served.found().entries(), &matcher);
            entries.extend(judged.map(|(entry, verdict)| Entry {
                digest: entry.digest.to_string(),
                platform: entry.platform.as_ref().map(shortened),
                verdict: verdict.as_str().to_owned(),
            }));
        }
        let chosen = entries
            .iter()
            .find(|entry| entry.verdict == Verdict::Chosen.as_str());
        let chosen = chosen.map(|entry| entry.digest.clone());
        let more = entries.len().saturating_sub(MAX_ENTRIES);
        entries.truncate(MAX_ENTRIES);
        Explanation {
            upstream: self.context.upstream.to_string(),
            repository: self.repository.name().to_string(),
            reference: self.reference.to_string(),
            said: (self.context.hints.iter())
                .map(|hint| self.said(hint.source, hint.wish.to_string()))
                .collect(),
            followed: self.served.substitution().map(|substitution| {
                self.said(substitution.source, substitution.platform.to_string())
            }),
            mode: self.served.mode().word().to_owned(),
            accepts_index: self.takes_index,
            offline: self.repository.upstream().is_offline(),
            outcome: self.served.outcome().as_str().to_owned(),
            tag: self.tag_age(),
            rule: self.rule(),
            answer: answer.to_owned(),
            why: why.to_owned(),
            chosen,
            entries,
            more,
        }
    }

    fn said(&self, source: Source, platform: String) -> Said {
        let node = self.context.node.as_ref();
        Said {
            source: source.as_str().to_owned(),
            platform,
            explicit: source.is_explicit(),
            node: node
                .filter(|_| source == Source::Node)
                .map(|node| node.name().to_string()),
        }
    }

    fn tag_age(&self) -> Option<TagAge> {
        let Reference::Tag(tag) = self.reference else {
            return None;
        };
        let entry = self.cache.tag(self.repository.key(), tag)?;
        let config = self.repository.upstream().config();
        let life = TagLife::of(&entry, tag, config, SystemTime::now());
        let text = |time| humantime::format_rfc3339_seconds(time).to_string();
        Some(TagAge {
            state: life.state.as_str().to_owned(),
            confirmed: text(life.confirmed),
            asked_again: life.asked_again.map(text),
            expires: life.expires.map(text),
        })
    }

    /// The rule of the tag, and of its sources so many as fit a header.
    fn rule(&self) -> Option<RuleUsed> {
        let Reference::Tag(tag) = self.reference else {
            return None;
        };
        let (key, mut sources) = self.repository.explain_rule(tag)?;
        sources.truncate(MAX_SOURCES);
        Some(RuleUsed {
            key: key.to_owned(),
            sources,
        })
    }

    fn is_of_referrers(&self) -> bool {
        matches!(self.reference, Reference::Tag(tag) if tag.is_of_referrers())
    }

    /// The kind of answer, and the reason for it.
    fn verdict(&self) -> (&'static str, &'static str) {
        let by_digest = matches!(self.reference, Reference::Digest(_));
        match (self.served.found().is_index(), self.served.substitution()) {
            (true, _) if by_digest => ("index", "a digest is answered with its own bytes"),
            (false, _) if by_digest => ("manifest", "a digest is answered with its own bytes"),
            (false, _) => ("manifest", "the tag is a single manifest"),
            _ if self.is_of_referrers() => ("index", "the tag is a list of referrers"),
            (true, Some(_)) if self.served.is_found_itself() => {
                ("index", "no entry of the index is for a platform")
            }
            (true, Some(_)) if !self.takes_index => {
                ("child", "the client does not accept an index")
            }
            (true, Some(_)) => ("child", "the mode follows this source"),
            (true, None) => match self.context.hint() {
                None => (
                    "index",
                    "no source names a platform and the client accepts an index",
                ),
                Some(Hint {
                    wish: PlatformRequest::All,
                    ..
                }) => ("index", "the request asks for the index itself"),
                Some(_) => ("index", "the mode does not follow this source"),
            },
        }
    }
}
