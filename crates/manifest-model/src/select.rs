//! The choice of one entry of an index, as containerd makes it.

mod verdict;

use std::{cmp::Ordering, collections::HashSet, mem};

pub use self::verdict::{Verdict, verdicts};
use crate::{Descriptor, Matcher, Platform};

/// The outcome of a choice: an image, an index to descend into, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice<'a> {
    /// This image. Its entry names a platform that matches.
    Manifest(&'a Descriptor),
    /// This image, if the platform in its configuration matches, because its entry names none. If
    /// it does not match, nothing in the index fits.
    Unverified(&'a Descriptor),
    /// This nested index: choose again among its entries.
    Index(&'a Descriptor),
    /// No entry fits.
    None,
}

impl Choice<'_> {
    /// Whether both lead to the same image.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        self.entry().map(|entry| entry.digest) == other.entry().map(|entry| entry.digest)
            && mem::discriminant(self) == mem::discriminant(other)
    }

    fn entry(&self) -> Option<&Descriptor> {
        match self {
            Self::Manifest(entry) | Self::Unverified(entry) | Self::Index(entry) => Some(entry),
            Self::None => None,
        }
    }
}

/// Chooses the entry that containerd would choose.
///
/// Entries whose platform does not match are dropped; entries without a platform stay and come
/// last. The best entry is chosen, the first among equals. It is the only candidate: if it turns
/// out not to fit, nothing does. Attestations are never chosen, nor are artifacts, which containerd
/// would take for images, nor is an entry that is neither an image nor an index.
pub fn choose<'a>(entries: &'a [Descriptor], matcher: &Matcher) -> Choice<'a> {
    let best = entries
        .iter()
        .filter(|entry| fits(entry, matcher))
        .min_by(|a, b| compare(a, b, matcher));
    match best {
        Some(entry) if entry.media_type.is_index() => Choice::Index(entry),
        Some(entry) if !entry.media_type.is_image() => Choice::None,
        Some(entry) if entry.platform.is_some() => Choice::Manifest(entry),
        Some(entry) => Choice::Unverified(entry),
        None => Choice::None,
    }
}

/// The platforms an index offers, to show where none of them fits: normalised, each once, in the
/// order of the index, without attestations and artifacts.
pub fn offered(entries: &[Descriptor]) -> Vec<Platform> {
    // A set, because an index of 4 MiB has room for tens of thousands of platforms.
    let mut seen = HashSet::new();
    entries
        .iter()
        .filter(|entry| is_candidate(entry))
        .filter_map(|entry| entry.platform.as_ref())
        .map(Platform::normalized)
        .filter(|platform| !platform.is_unknown() && seen.insert(platform.clone()))
        .collect()
}

fn is_candidate(entry: &Descriptor) -> bool {
    !entry.is_attestation() && !entry.is_artifact()
}

fn fits(entry: &Descriptor, matcher: &Matcher) -> bool {
    is_candidate(entry)
        && entry
            .platform
            .as_ref()
            .is_none_or(|platform| matcher.matches(platform))
}

fn compare(a: &Descriptor, b: &Descriptor, matcher: &Matcher) -> Ordering {
    match (&a.platform, &b.platform) {
        (Some(a), Some(b)) => matcher.compare(a, b),
        (a, b) => a.is_none().cmp(&b.is_none()),
    }
}

#[cfg(test)]
mod tests;
