//! The JSON in the header `Archway-Explain`: why a request got the answer it got.
//!
//! The server writes it and `archway explain` reads it, so field names and absent fields are a
//! contract between versions.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// The decision behind one answer to a manifest request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The upstream the request named, or the default one.
    pub upstream: String,
    /// The repository at the upstream.
    pub repository: String,
    /// The tag or digest of the request.
    pub reference: String,
    /// The hints of the request, the most trusted source first.
    pub said: Vec<Said>,
    /// The hint that decided, or the default platform; none where nothing was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followed: Option<Said>,
    /// The value of `resolve` for the repository.
    pub mode: String,
    /// Whether the client accepts an index.
    pub accepts_index: bool,
    /// Whether the upstream is never asked, so that the answer is made of what is stored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub offline: bool,
    /// Where the answer came from: `hit`, `follow`, `fill`, `stale` or `miss`.
    #[serde(default)]
    pub outcome: String,
    /// The age of the tag; none for a digest, or where the tag is not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<TagAge>,
    /// The rule of the configuration that the tag is answered by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleUsed>,
    /// `manifest`, `index` or `child`.
    pub answer: String,
    /// The reason, as a clause.
    pub why: String,
    /// The digest of the chosen entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<String>,
    /// The entries of the index with the verdict on each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<Entry>,
    /// Entries left out because the header would be too long.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
}

/// What the age of a tag allows. Times are RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagAge {
    /// `fresh`, `stale`, `expired`, `immutable` or `held`.
    pub state: String,
    /// When the upstream last confirmed it.
    pub confirmed: String,
    /// From when on a client has the upstream asked; none if never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_again: Option<String>,
    /// From when on clients get an error while the upstream gives no answer; none if never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// A rule that answers names from other names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleUsed {
    /// Its key: `virtual_index` or `alias`.
    pub key: String,
    /// The names it looks at, as `REPOSITORY:TAG`.
    pub sources: Vec<String>,
}

/// One hint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The name of the source, such as `header` or `user-agent`.
    pub source: String,
    /// A platform, or `all`.
    pub platform: String,
    /// Whether the client or the operator asked for the platform, rather than being identified
    /// as a machine of that kind.
    pub explicit: bool,
    /// The node of the cluster, where it is the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// An entry of an index with its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The digest of the manifest it lists.
    pub digest: String,
    /// Its platform, where it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// `chosen`, or why not.
    pub verdict: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Explanation {
    /// ASCII JSON of at most `max_bytes`; entries that do not fit are dropped and counted in
    /// `more`.
    pub fn into_header(mut self, max_bytes: usize) -> String {
        loop {
            let text = self.ascii();
            if text.len() <= max_bytes {
                return text;
            }
            if self.entries.pop().is_none() {
                // All other fields are bounded, so only a tiny `max_bytes` leads here.
                return "{}".to_owned();
            }
            self.more += 1;
        }
    }

    /// JSON whose non-ASCII and control characters are escaped: a header may not hold them, and
    /// some clients fail on a header that is not text.
    fn ascii(&self) -> String {
        let json = serde_json::to_string(self).expect("texts and numbers always serialise");
        let mut text = String::with_capacity(json.len());
        for character in json.chars() {
            if character.is_ascii() && !character.is_ascii_control() {
                text.push(character);
                continue;
            }
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(entries: Vec<(String, Option<String>)>) -> Explanation {
        let entry = |(digest, platform)| Entry {
            digest,
            platform,
            verdict: "chosen".to_owned(),
        };
        Explanation {
            upstream: "registry.test".to_owned(),
            repository: "team/app".to_owned(),
            reference: "v1".to_owned(),
            said: Vec::new(),
            followed: None,
            mode: "explicit".to_owned(),
            accepts_index: true,
            offline: false,
            outcome: "hit".to_owned(),
            tag: None,
            rule: None,
            answer: "index".to_owned(),
            why: "nothing".to_owned(),
            chosen: None,
            entries: entries.into_iter().map(entry).collect(),
            more: 0,
        }
    }

    proptest! {
        #[test]
        fn whatever_an_index_holds_the_header_is_bounded_ascii_and_reads_back(
            entries in proptest::collection::vec((any::<String>(), any::<Option<String>>()), 0..40),
        ) {
            let whole = of(entries);
            let text = whole.clone().into_header(1000);
            prop_assert!(text.len() <= 1000 && text.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            let read: Explanation = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read.entries.len() + read.more, whole.entries.len());
            prop_assert_eq!(&read.entries[..], &whole.entries[..read.entries.len()]);
        }
    }
}
