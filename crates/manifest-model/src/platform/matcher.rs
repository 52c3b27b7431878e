//! Matching: the offered platforms that a wanted one runs, and the best of them.
//!
//! A processor runs images for its older variants, and most 64-bit processors run images for their
//! 32-bit ancestors: these are the ordered fallbacks. An image for a newer variant is never one.

use std::cmp::Ordering;

use super::{Platform, windows};

/// The highest known minor version of 64-bit Arm v8. Nothing is assumed about a higher one.
const MAX_V8_MINOR: u8 = 9;

/// The highest known minor version of 64-bit Arm v9.
const MAX_V9_MINOR: u8 = 7;

/// 64-bit Arm v9.n includes v8.(n + 5).
const V8_MINOR_OF_V9_0: u8 = 5;

/// The oldest version of 32-bit Arm that is a fallback.
const MIN_ARM_VERSION: u8 = 5;

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
            Fallbacks::Allowed => with_fallbacks(wanted),
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

/// `wanted` itself, then its fallbacks, best first. All are normalised.
///
/// Empty for an unknown variant of `arm64`, as in containerd. A variant with a number above 255 has
/// no older ones.
fn with_fallbacks(wanted: &Platform) -> Vec<Platform> {
    let wanted = wanted.normalized();
    let variants: Vec<(&str, String)> = match wanted.architecture.as_str() {
        "amd64" => amd64(&wanted.variant),
        "arm" => arm(&wanted.variant),
        "arm64" => arm64(&wanted.variant),
        other => vec![(other, wanted.variant.clone())],
    };
    let platform = |(architecture, variant): (&str, String)| {
        Platform {
            architecture: architecture.into(),
            variant,
            ..wanted.clone()
        }
        .normalized()
    };
    variants.into_iter().map(platform).collect()
}

/// The level itself, the lower levels, then the 32-bit ancestor.
fn amd64(variant: &str) -> Vec<(&'static str, String)> {
    let lower = (1..number(variant).unwrap_or(1))
        .rev()
        .map(|level| format!("v{level}"));
    let mut all: Vec<_> = std::iter::once(variant.to_owned())
        .chain(lower)
        .map(|variant| ("amd64", variant))
        .collect();
    all.push(("386", String::new()));
    all
}

/// The version itself, then the lower ones down to the oldest.
fn arm(variant: &str) -> Vec<(&'static str, String)> {
    let lower = (MIN_ARM_VERSION..number(variant).unwrap_or(MIN_ARM_VERSION))
        .rev()
        .map(|version| format!("v{version}"));
    std::iter::once(variant.to_owned())
        .chain(lower)
        .map(|variant| ("arm", variant))
        .collect()
}

/// The version itself and the lower minor ones, for v9 the v8 it includes, then 32-bit Arm.
fn arm64(variant: &str) -> Vec<(&'static str, String)> {
    let ladder = |major: u8, minor: u8| {
        (0..=minor)
            .rev()
            .map(move |minor| ("arm64", arm64_variant(major, minor)))
    };
    let mut all: Vec<_> = match arm64_version(variant) {
        Some((9, minor)) => ladder(9, minor)
            .chain(ladder(8, (minor + V8_MINOR_OF_V9_0).min(MAX_V8_MINOR)))
            .collect(),
        Some((major, minor)) => ladder(major, minor).collect(),
        None => return Vec::new(),
    };
    all.extend(arm("v8"));
    all
}

fn arm64_variant(major: u8, minor: u8) -> String {
    if minor == 0 {
        format!("v{major}")
    } else {
        format!("v{major}.{minor}")
    }
}

/// The major and minor version of a normalised variant of `arm64`, if that variant is known.
fn arm64_version(variant: &str) -> Option<(u8, u8)> {
    let versions = (0..=MAX_V8_MINOR)
        .map(|minor| (8, minor))
        .chain((0..=MAX_V9_MINOR).map(|minor| (9, minor)));
    let mut known = versions.filter(|&(major, minor)| arm64_variant(major, minor) == variant);
    if variant.is_empty() {
        Some((8, 0))
    } else {
        known.next()
    }
}

/// The number in `v7` or `7`.
fn number(variant: &str) -> Option<u8> {
    variant.strip_prefix('v').unwrap_or(variant).parse().ok()
}

#[cfg(test)]
mod tests;
