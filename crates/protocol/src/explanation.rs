//! How an answer came about, as the header `Archway-Explain` carries it: written by a server, read by the command line.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// One answer to a manifest request, explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The upstream the request meant.
    pub upstream: String,
    /// The repository there.
    pub repository: String,
    /// The tag or digest.
    pub reference: String,
    /// All sources that spoke, the most trusted first.
    pub said: Vec<Said>,
    /// Which of them was followed, or the default; none where nothing was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followed: Option<Said>,
    /// The repository's mode.
    pub mode: String,
    /// Whether the client takes indexes.
    pub accepts_index: bool,
    /// `manifest`, `index` or `child`.
    pub answer: String,
    /// Why it is that.
    pub why: String,
    /// The entry chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<String>,
    /// The entries of the index, and what became of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<Entry>,
    /// Entries left out for want of room.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
}

/// What a source said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Its name.
    pub source: String,
    /// A platform, or `all`.
    pub platform: String,
    /// Whether it was said on purpose.
    pub explicit: bool,
}

/// An entry of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it points to.
    pub digest: String,
    /// Its platform, where it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// `chosen`, or why not.
    pub verdict: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde wants"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Explanation {
    /// JSON in ASCII of at most `longest` bytes, without entries that find no room.
    pub fn into_header(mut self, longest: usize) -> String {
        loop {
            let text = self.ascii();
            if text.len() <= longest {
                return text;
            }
            if self.entries.pop().is_none() {
                // Names are bounded, so this takes a bound nobody would set.
                return "{}".to_owned();
            }
            self.more += 1;
        }
    }

    /// JSON without a byte that a header, or a client that reads headers as text, could stumble over.
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
