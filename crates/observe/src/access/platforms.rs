//! The platforms that clients ask for, get in place of an index, and do not get.
//!
//! Clients choose what they call their platform, so only those below have a label of their own.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use pull::Source;

/// The platforms with a label of their own, `all` for the index itself, and the label of all others.
const PLATFORMS: [&str; 11] = [
    "linux/amd64",
    "linux/arm64",
    "linux/arm/v7",
    "linux/arm/v6",
    "linux/386",
    "linux/ppc64le",
    "linux/s390x",
    "linux/riscv64",
    "windows/amd64",
    "all",
    "other",
];

/// What became of the platform that a manifest was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlatformFate {
    /// It was told, and decided nothing.
    #[default]
    Told,
    /// The manifest of that platform went out in place of its index.
    Substituted,
    /// The image has no manifest for it.
    Missing,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlatformLabels {
    /// One of [`PLATFORMS`].
    platform: &'static str,
    /// The name of a [`Source`].
    source: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MissingLabels {
    /// One of [`PLATFORMS`].
    platform: &'static str,
}

type BySource = [Counter; Source::ALL.len()];

/// The counters of platforms, all of them made at the start.
#[derive(Debug)]
pub(super) struct PlatformMetrics {
    asked_by: Family<PlatformLabels, Counter>,
    substituted_by: Family<PlatformLabels, Counter>,
    missing_of: Family<MissingLabels, Counter>,
    asked: [BySource; PLATFORMS.len()],
    substituted: [BySource; PLATFORMS.len()],
    missing: [Counter; PLATFORMS.len()],
}

impl Default for PlatformMetrics {
    fn default() -> Self {
        let (asked_by, substituted_by) = (Family::default(), Family::default());
        let missing_of: Family<MissingLabels, Counter> = Family::default();
        Self {
            asked: by_platform(&asked_by),
            substituted: by_platform(&substituted_by),
            missing: PLATFORMS
                .map(|platform| missing_of.get_or_create_owned(&MissingLabels { platform })),
            asked_by,
            substituted_by,
            missing_of,
        }
    }
}

fn by_platform(family: &Family<PlatformLabels, Counter>) -> [BySource; PLATFORMS.len()] {
    PLATFORMS.map(|platform| {
        Source::ALL.map(|source| {
            let source = source.as_str();
            family.get_or_create_owned(&PlatformLabels { platform, source })
        })
    })
}

/// The counters of one answer; none where no platform was told.
#[derive(Clone, Debug, Default)]
pub(super) struct PlatformCounters([Option<Counter>; 2]);

impl PlatformCounters {
    pub(super) fn count(&self) {
        for counter in self.0.iter().flatten() {
            counter.inc();
        }
    }
}

impl PlatformMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Manifests asked for by a client whose platform was told";
        registry.register("platform_requests", help, self.asked_by.clone());
        let help = "Manifests of a platform that went out in place of their index";
        registry.register("substitutions", help, self.substituted_by.clone());
        let help = "Manifests refused because the image has none for the platform";
        registry.register("platform_missing", help, self.missing_of.clone());
    }

    /// Counts an answer about a platform.
    pub(super) fn count(&self, platform: &str, source: Source, fate: PlatformFate) {
        let (asked, fate) = self.find(platform, source, fate);
        asked.inc();
        if let Some(fate) = fate {
            fate.inc();
        }
    }

    /// The counters of an answer about a platform, for one that is repeated.
    pub(super) fn of(
        &self,
        platform: &str,
        source: Source,
        fate: PlatformFate,
    ) -> PlatformCounters {
        let (asked, fate) = self.find(platform, source, fate);
        PlatformCounters([Some(asked.clone()), fate.cloned()])
    }

    fn find(
        &self,
        platform: &str,
        source: Source,
        fate: PlatformFate,
    ) -> (&Counter, Option<&Counter>) {
        let known = PLATFORMS.iter().position(|known| *known == platform);
        let (platform, source) = (known.unwrap_or(PLATFORMS.len() - 1), source as usize);
        let fate = match fate {
            PlatformFate::Told => None,
            PlatformFate::Substituted => Some(&self.substituted[platform][source]),
            PlatformFate::Missing => Some(&self.missing[platform]),
        };
        (&self.asked[platform][source], fate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_makes_up_is_another_platform() {
        let metrics = PlatformMetrics::default();
        let source = Source::Header;
        metrics.count("linux/arm64", source, PlatformFate::Substituted);
        metrics.count("plan9/made-up", source, PlatformFate::Missing);
        metrics.of("all", source, PlatformFate::Told).count();
        let asked = |platform: usize| metrics.asked[platform][source as usize].get();
        assert_eq!([asked(1), asked(10), asked(9)], [1, 1, 1]);
        assert_eq!(metrics.substituted[1][source as usize].get(), 1);
        assert_eq!(metrics.missing[10].get(), 1);
    }
}
