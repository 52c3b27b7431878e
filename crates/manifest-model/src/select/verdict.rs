//! The reason why each entry of an index was chosen or not, as an explanation of the choice.

use super::{choose, compare, fits};
use crate::{Choice, Descriptor, Matcher};

/// The reason why one entry of an index was chosen or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the choice.
    Chosen,
    /// It is about another entry and is no image.
    Attestation,
    /// It is an artifact that is no image.
    Artifact,
    /// Its platform does not match.
    OtherPlatform,
    /// It names no platform, and an entry that names one fits.
    NoPlatform,
    /// It fits, but another entry fits better.
    WorseFit,
    /// It fits as well as the chosen entry, which comes first.
    LaterEqual,
    /// It fits best but is neither an image nor an index, so nothing was chosen.
    NoImage,
}

impl Verdict {
    /// A stable word for JSON and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::Attestation => "attestation",
            Self::Artifact => "artifact",
            Self::OtherPlatform => "other-platform",
            Self::NoPlatform => "no-platform",
            Self::WorseFit => "worse-fit",
            Self::LaterEqual => "later-equal",
            Self::NoImage => "no-image",
        }
    }
}

/// A verdict on each entry, in the order of the index. At most one is chosen, the one of
/// [`choose`].
///
/// The verdict rests on the index alone. Whether an entry without a platform fits after all depends
/// on the configuration of its image.
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
        if entry.is_artifact() {
            return Verdict::Artifact;
        }
        if !fits(entry, matcher) {
            return Verdict::OtherPlatform;
        }
        match chosen {
            Some(chosen) if std::ptr::eq(chosen, entry) => Verdict::Chosen,
            // Nothing was chosen: the best entry has the wrong type, and this one ranks below it.
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
