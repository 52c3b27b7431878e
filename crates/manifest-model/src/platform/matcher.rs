//! Which platforms a wanted one is content with, and which of them it likes best.

use std::cmp::Ordering;

use super::{Platform, order, windows};

/// Whether a machine may be given what its processor runs as a last resort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallbacks {
    /// Older variants and the 32-bit ancestor as well: what containerd calls `Only`.
    Allowed,
    /// The platform itself and nothing else: what containerd calls `OnlyStrict`.
    Strict,
}

/// A wanted platform, made ready to be compared with what an index offers.
///
/// What is compared is operating system, architecture and variant, after normalisation; for Windows also whether the
/// wanted version runs the offered one. What an offered platform demands in features the wanted one must have, only
/// `win32k` is never missed. Nothing matches `unknown/unknown`, not even who asks for it: attestations hide there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    /// Best first, all normalised.
    wanted: Vec<Platform>,
    order: Order,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// By the first of the wanted platforms that is matched, then by how many features are made use of.
    Wanted,
    /// By the version of the operating system, newest first. Versions are compared as text, as Windows nodes do.
    Newest,
}

impl Matcher {
    /// What a client of platform `wanted` would choose by: on Windows the newest version that runs and no fallbacks, on
    /// everything else the ordered fallbacks.
    pub fn new(wanted: &Platform) -> Self {
        let wanted = wanted.normalized();
        if wanted.os == windows::OS {
            Self {
                wanted: vec![wanted],
                order: Order::Newest,
            }
        } else {
            Self::only(&wanted)
        }
    }

    /// The ordered fallbacks of `wanted`, Windows or not.
    pub fn only(wanted: &Platform) -> Self {
        Self::with(wanted, Fallbacks::Allowed)
    }

    /// `wanted` alone, in whatever spelling.
    pub fn strict(wanted: &Platform) -> Self {
        Self::with(wanted, Fallbacks::Strict)
    }

    /// `wanted`, with or without its fallbacks.
    pub fn with(wanted: &Platform, fallbacks: Fallbacks) -> Self {
        let wanted = match fallbacks {
            Fallbacks::Allowed => order::fallbacks(wanted),
            Fallbacks::Strict => vec![wanted.normalized()],
        };
        Self {
            wanted,
            order: Order::Wanted,
        }
    }

    /// Whether the wanted machine runs what is for `offered`.
    pub fn matches(&self, offered: &Platform) -> bool {
        self.rank(&offered.normalized()).is_some()
    }

    /// Orders platforms best first. Those that do not match come last and are equal to one another.
    pub fn compare(&self, a: &Platform, b: &Platform) -> Ordering {
        let (a, b) = (a.normalized(), b.normalized());
        match (self.rank(&a), self.rank(&b)) {
            (Some(rank_a), Some(rank_b)) => match self.order {
                Order::Wanted => rank_a
                    .cmp(&rank_b)
                    .then(b.os_features.len().cmp(&a.os_features.len())),
                Order::Newest => b.os_version.cmp(&a.os_version),
            },
            (rank_a, rank_b) => rank_a.is_none().cmp(&rank_b.is_none()),
        }
    }

    /// The first wanted platform that is content with a normalised one.
    fn rank(&self, offered: &Platform) -> Option<usize> {
        if offered.is_unknown() {
            return None;
        }
        self.wanted
            .iter()
            .position(|wanted| is_content(wanted, offered))
    }
}

/// Whether a single wanted platform is content with an offered one, both normalised.
fn is_content(wanted: &Platform, offered: &Platform) -> bool {
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
