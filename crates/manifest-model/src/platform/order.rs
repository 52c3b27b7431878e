//! What else a machine can run: the ordered fallbacks of a platform.
//!
//! A processor runs what was built for its older variants, and most 64-bit ones what was built for their 32-bit
//! ancestors. Nothing is ever taken that was built for a newer one.

use super::Platform;

/// The newest variants of 64-bit Arm there are; of anything else nobody knows what it can run.
const NEWEST_V8: u8 = 9;
const NEWEST_V9: u8 = 7;

/// Version 9.n of 64-bit Arm can do what 8.(n + 5) can.
const V8_OF_V9: u8 = 5;

/// The oldest variant of 32-bit Arm that is fallen back to.
const OLDEST_ARM: u8 = 5;

/// The platform itself, then whatever its processor runs as well, best first. All are normalised.
///
/// Empty for an unknown variant of `arm64`, as with containerd. A variant with a number above 255 has no older ones.
pub(super) fn fallbacks(wanted: &Platform) -> Vec<Platform> {
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

/// The levels below, then the 32-bit ancestor.
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

/// The versions below, down to the oldest that is still built for.
fn arm(variant: &str) -> Vec<(&'static str, String)> {
    let lower = (OLDEST_ARM..number(variant).unwrap_or(OLDEST_ARM))
        .rev()
        .map(|version| format!("v{version}"));
    std::iter::once(variant.to_owned())
        .chain(lower)
        .map(|variant| ("arm", variant))
        .collect()
}

/// The minor versions below, for version 9 those of version 8 it includes, then 32-bit Arm.
fn arm64(variant: &str) -> Vec<(&'static str, String)> {
    let ladder = |major: u8, minor: u8| {
        (0..=minor)
            .rev()
            .map(move |minor| ("arm64", arm64_variant(major, minor)))
    };
    let mut all: Vec<_> = match arm64_version(variant) {
        Some((9, minor)) => ladder(9, minor)
            .chain(ladder(8, (minor + V8_OF_V9).min(NEWEST_V8)))
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

/// Major and minor version of a normalised variant of `arm64`, if it is one that exists.
fn arm64_version(variant: &str) -> Option<(u8, u8)> {
    let versions = (0..=NEWEST_V8)
        .map(|minor| (8, minor))
        .chain((0..=NEWEST_V9).map(|minor| (9, minor)));
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
mod tests {
    use super::*;

    fn order(platform: &str) -> Vec<String> {
        fallbacks(&platform.parse().unwrap())
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn amd64_goes_down_its_levels_and_then_to_386() {
        assert_eq!(
            order("linux/amd64/v3"),
            [
                "linux/amd64/v3",
                "linux/amd64/v2",
                "linux/amd64",
                "linux/386"
            ]
        );
        assert_eq!(order("linux/amd64"), ["linux/amd64", "linux/386"]);
    }

    #[test]
    fn arm_goes_down_to_v5() {
        assert_eq!(
            order("linux/arm"),
            ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]
        );
        assert_eq!(order("linux/arm/v4"), ["linux/arm/v4"]);
    }

    #[test]
    fn arm64_goes_down_to_32_bit_arm() {
        let arm = [
            "linux/arm/v8",
            "linux/arm/v7",
            "linux/arm/v6",
            "linux/arm/v5",
        ];
        assert_eq!(order("linux/arm64")[..1], ["linux/arm64"]);
        assert_eq!(order("linux/arm64")[1..], arm);
        assert_eq!(
            order("linux/arm64/v8.2")[..3],
            ["linux/arm64/v8.2", "linux/arm64/v8.1", "linux/arm64"]
        );
        assert_eq!(order("linux/arm64/v8.2")[3..], arm);
    }

    #[test]
    fn arm64_v9_includes_the_v8_it_grew_from() {
        let v9 = order("linux/arm64/v9.1");
        assert_eq!(
            v9[..4],
            [
                "linux/arm64/v9.1",
                "linux/arm64/v9",
                "linux/arm64/v8.6",
                "linux/arm64/v8.5"
            ]
        );
        assert_eq!(order("linux/arm64/v9.6")[7], "linux/arm64/v8.9");
    }

    #[test]
    fn an_unknown_variant_of_arm64_runs_nothing_we_know() {
        assert!(order("linux/arm64/v10").is_empty());
        assert!(order("linux/arm64/v8.10").is_empty());
    }

    #[test]
    fn an_absurd_variant_makes_no_list() {
        assert_eq!(
            order("linux/amd64/v4000000000"),
            ["linux/amd64/v4000000000", "linux/386"]
        );
        assert_eq!(order("linux/arm/v99999"), ["linux/arm/v99999"]);
    }

    #[test]
    fn other_processors_have_no_fallbacks() {
        assert_eq!(order("linux/riscv64"), ["linux/riscv64"]);
        assert_eq!(order("linux/386"), ["linux/386"]);
    }

    #[test]
    fn a_windows_version_is_kept_in_each_fallback() {
        assert_eq!(
            order("windows(10.0.20348)/amd64"),
            ["windows(10.0.20348)/amd64", "windows(10.0.20348)/386"]
        );
    }
}
