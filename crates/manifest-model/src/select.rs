//! The choice of one entry of an index.

mod verdict;

use std::cmp::Ordering;
use std::collections::HashSet;

pub use self::verdict::{Verdict, verdicts};
use crate::{Descriptor, Matcher, Platform};

/// What to do with an index for a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice<'a> {
    /// This image: its entry names a platform that matches.
    Manifest(&'a Descriptor),
    /// This image, if the platform in its configuration matches: its entry names none. If it does not match, nothing in
    /// the index fits.
    Unverified(&'a Descriptor),
    /// Choose again in this index.
    Index(&'a Descriptor),
    /// Nothing fits.
    None,
}

/// Chooses the entry that containerd would choose.
///
/// What does not match is dropped, entries without a platform stay; the best is taken, the first among equals, an entry
/// without a platform only if there is no other. It is the only candidate: where it turns out not to fit, nothing does.
/// Attestations are never chosen, nor is an entry that is neither an image nor an index.
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

/// The platforms an index offers, for whoever found nothing in it: normalised, each once, in the order of the index,
/// without attestations.
pub fn offered(entries: &[Descriptor]) -> Vec<Platform> {
    // An index of 4 MiB has room for tens of thousands.
    let mut seen = HashSet::new();
    entries
        .iter()
        .filter(|entry| !entry.is_attestation())
        .filter_map(|entry| entry.platform.as_ref())
        .map(Platform::normalized)
        .filter(|platform| !platform.is_unknown() && seen.insert(platform.clone()))
        .collect()
}

fn fits(entry: &Descriptor, matcher: &Matcher) -> bool {
    !entry.is_attestation()
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
