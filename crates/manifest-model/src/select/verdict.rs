//! Why an entry of an index was chosen, or was not: for people, next to the choice itself.

use super::{choose, compare, fits};
use crate::{Choice, Descriptor, Matcher};

/// What became of one entry when an index was chosen from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was chosen.
    Chosen,
    /// It says something about another entry and is not to be run.
    Attestation,
    /// It is for a platform that does not do.
    OtherPlatform,
    /// It names no platform, so it comes after all that do.
    NoPlatform,
    /// It would do, but another one fits better.
    WorseFit,
    /// It fits as well as the chosen one, which comes first.
    LaterEqual,
    /// It would have been chosen but is neither an image nor an index, so nothing was.
    NoImage,
}

impl Verdict {
    /// A word for machines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::Attestation => "attestation",
            Self::OtherPlatform => "other-platform",
            Self::NoPlatform => "no-platform",
            Self::WorseFit => "worse-fit",
            Self::LaterEqual => "later-equal",
            Self::NoImage => "no-image",
        }
    }
}

/// A verdict on each entry, in the order of the index. At most one is chosen, the one of [`choose`].
///
/// Judged by the index alone: whether an entry without a platform does after all is for its image's configuration to say.
pub fn verdicts<'a>(
    entries: &'a [Descriptor],
    matcher: &Matcher,
) -> impl Iterator<Item = (&'a Descriptor, Verdict)> {
    let chosen = match choose(entries, matcher) {
        Choice::Manifest(entry) | Choice::Unverified(entry) | Choice::Index(entry) => Some(entry),
        Choice::None => None,
    };
    let judge = move |entry: &'a Descriptor| {
        if entry.is_attestation() {
            return Verdict::Attestation;
        }
        if !fits(entry, matcher) {
            return Verdict::OtherPlatform;
        }
        match chosen {
            Some(chosen) if std::ptr::eq(chosen, entry) => Verdict::Chosen,
            // What fits and was not chosen although nothing was is what ended the choice, or stood behind it.
            None if entry.media_type.is_image() || entry.media_type.is_index() => Verdict::WorseFit,
            None => Verdict::NoImage,
            Some(chosen) if entry.platform.is_none() && chosen.platform.is_some() => {
                Verdict::NoPlatform
            }
            Some(chosen) if compare(chosen, entry, matcher).is_eq() => Verdict::LaterEqual,
            Some(_) => Verdict::WorseFit,
        }
    };
    entries.iter().map(move |entry| (entry, judge(entry)))
}
