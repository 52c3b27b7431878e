//! `Archway-Explain: 1` on a manifest request: the answer says in a header of its own how it came about.
//!
//! The header holds JSON in one line of ASCII, at most [`LONGEST`] bytes; entries that find no room are counted.

use config::Resolve;
use http::{HeaderMap, HeaderValue};
use manifest_model::{Manifest, Matcher, Platform, Reference, Verdict, verdicts};
use protocol::{
    explanation::{Entry, Explanation, Said},
    headers::ARCHWAY_EXPLAIN,
};

use super::context::Context;
use crate::{
    hints::{Hint, PlatformRequest},
    pull::{Repository, Substitution},
};

/// The longest explanation: with all other headers still below what common clients and proxies take.
const LONGEST: usize = 6 * 1024;

/// Entries explained at most.
const MOST_ENTRIES: usize = 40;

/// The longest spelling of a platform shown.
const LONGEST_PLATFORM: usize = 80;

/// Whether the client asks for an explanation.
pub(super) fn is_wanted(request: &HeaderMap) -> bool {
    request
        .get(ARCHWAY_EXPLAIN)
        .is_some_and(|value| value.as_bytes() == b"1")
}

/// What the decision was made of.
pub(super) struct Case<'a> {
    pub(super) context: &'a Context,
    pub(super) repository: &'a Repository,
    pub(super) reference: &'a Reference,
    pub(super) manifest: &'a Manifest,
    pub(super) mode: Resolve,
    pub(super) takes_index: bool,
    pub(super) substitution: Option<&'a Substitution>,
    /// Whether the answer is a child, or would have been.
    pub(super) is_child: bool,
}

impl Case<'_> {
    /// The header's value.
    pub(super) fn explain(&self) -> HeaderValue {
        let text = self.explanation().into_header(LONGEST);
        HeaderValue::try_from(text).expect("JSON in ASCII is header text")
    }

    fn explanation(&self) -> Explanation {
        let (answer, why) = self.verdict();
        let mut entries = Vec::new();
        if let Some(substitution) = self.substitution {
            let matcher = Matcher::new(&substitution.platform);
            let judged = verdicts(self.manifest.entries(), &matcher);
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
        let more = entries.len().saturating_sub(MOST_ENTRIES);
        entries.truncate(MOST_ENTRIES);
        Explanation {
            upstream: self.context.upstream.to_string(),
            repository: self.repository.name().to_string(),
            reference: self.reference.to_string(),
            said: self.context.hints.iter().map(said).collect(),
            followed: self.substitution.map(|substitution| Said {
                source: substitution.source.as_str().to_owned(),
                platform: substitution.platform.to_string(),
                explicit: substitution.source.is_explicit(),
            }),
            mode: self.mode.word().to_owned(),
            accepts_index: self.takes_index,
            answer: answer.to_owned(),
            why: why.to_owned(),
            chosen,
            entries,
            more,
        }
    }

    fn is_of_referrers(&self) -> bool {
        matches!(self.reference, Reference::Tag(tag) if tag.is_of_referrers())
    }

    /// What the answer is, and why.
    fn verdict(&self) -> (&'static str, &'static str) {
        let by_digest = matches!(self.reference, Reference::Digest(_));
        match (self.manifest.is_index(), self.substitution) {
            (true, _) if by_digest => ("index", "a digest is answered with its own bytes"),
            (false, _) if by_digest => ("manifest", "a digest is answered with its own bytes"),
            (false, _) => ("manifest", "the tag is a single manifest"),
            _ if self.is_of_referrers() => ("index", "the tag lists what refers to a manifest"),
            (true, Some(_)) if !self.is_child => ("index", "none of its entries is for a platform"),
            (true, Some(_)) if !self.takes_index => ("child", "the client takes no index"),
            (true, Some(_)) => ("child", "the mode lets this source decide"),
            (true, None) => match self.context.hint() {
                None => ("index", "no source spoke and the client takes the index"),
                Some(Hint {
                    wish: PlatformRequest::All,
                    ..
                }) => ("index", "the index itself was asked for"),
                Some(_) => ("index", "the mode does not let this source decide"),
            },
        }
    }
}

fn said(hint: &Hint) -> Said {
    Said {
        source: hint.source.as_str().to_owned(),
        platform: hint.wish.to_string(),
        explicit: hint.source.is_explicit(),
    }
}

/// The platform as it is shown; its real name may be as long as an index.
pub(super) fn shortened(platform: &Platform) -> String {
    platform
        .to_string()
        .chars()
        .take(LONGEST_PLATFORM)
        .collect()
}
