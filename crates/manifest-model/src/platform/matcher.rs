//! Matching: the offered platforms that a wanted one runs, and the best of them.

use std::cmp::Ordering;

use super::{Platform, fallbacks, windows};

/// Whether a machine may get an image that was built for another platform its processor runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallbacks {
    /// Older variants and the 32-bit ancestor match too: containerd's `Only`.
    Allowed,
    /// The platform itself and nothing else: containerd's `OnlyStrict`.
    Strict,
}

/// A wanted platform, prepared for comparison with the platforms an index offers.
///
/// Operating system, architecture and variant must be equal after normalisation. On Windows the
/// wanted version must also run the offered one. The wanted platform must have every feature the
/// offered one demands, except `win32k` on Windows. Nothing matches `unknown/unknown`, not even a
/// request for it, because attestations carry that platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    /// Best first, all normalised.
    wanted: Vec<Platform>,
    preference: Preference,
}

/// The order among platforms that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preference {
    /// By the position in `wanted` of the platform that runs the offered one, then by the number of
    /// features the offered one uses, most first.
    WantedOrder,
    /// By the version of the operating system, newest first. Versions are compared as text, as
    /// containerd does on Windows.
    NewestVersion,
}

impl Matcher {
    /// The default of a client on `wanted`: on Windows the newest version that runs, without
    /// fallbacks; on any other system the ordered fallbacks.
    pub fn new(wanted: &Platform) -> Self {
        let wanted = wanted.normalized();
        if wanted.os == windows::OS {
            Self {
                wanted: vec![wanted],
                preference: Preference::NewestVersion,
            }
        } else {
            Self::only(&wanted)
        }
    }

    /// `wanted` and its ordered fallbacks, on Windows too.
    pub fn only(wanted: &Platform) -> Self {
        Self::with(wanted, Fallbacks::Allowed)
    }

    /// `wanted` alone, in any spelling.
    pub fn strict(wanted: &Platform) -> Self {
        Self::with(wanted, Fallbacks::Strict)
    }

    /// `wanted`, with or without its fallbacks.
    pub fn with(wanted: &Platform, fallbacks: Fallbacks) -> Self {
        let wanted = match fallbacks {
            Fallbacks::Allowed => fallbacks::of(wanted),
            Fallbacks::Strict => vec![wanted.normalized()],
        };
        Self {
            wanted,
            preference: Preference::WantedOrder,
        }
    }

    /// Whether the wanted machine runs an image for `offered`.
    pub fn matches(&self, offered: &Platform) -> bool {
        self.rank(&offered.normalized()).is_some()
    }

    /// Orders platforms best first. Platforms that do not match come last, equal to one another.
    pub fn compare(&self, a: &Platform, b: &Platform) -> Ordering {
        let (a, b) = (a.normalized(), b.normalized());
        match (self.rank(&a), self.rank(&b)) {
            (Some(rank_a), Some(rank_b)) => match self.preference {
                Preference::WantedOrder => rank_a
                    .cmp(&rank_b)
                    .then(b.os_features.len().cmp(&a.os_features.len())),
                Preference::NewestVersion => b.os_version.cmp(&a.os_version),
            },
            (rank_a, rank_b) => rank_a.is_none().cmp(&rank_b.is_none()),
        }
    }

    /// The position of the first wanted platform that runs `offered`, which is normalised.
    fn rank(&self, offered: &Platform) -> Option<usize> {
        if offered.is_unknown() {
            return None;
        }
        self.wanted.iter().position(|wanted| runs(wanted, offered))
    }
}

/// Whether one wanted platform runs images for an offered one, both normalised.
fn runs(wanted: &Platform, offered: &Platform) -> bool {
    let on_windows = wanted.os == windows::OS;
    wanted.os == offered.os
        && wanted.architecture == offered.architecture
        && wanted.variant == offered.variant
        && (!on_windows || windows::runs(&wanted.os_version, &offered.os_version))
        && offered.os_features.iter().all(|feature| {
            (on_windows && feature == windows::WIN32K) || wanted.os_features.contains(feature)
        })
}

#[cfg(test)]
mod tests;
