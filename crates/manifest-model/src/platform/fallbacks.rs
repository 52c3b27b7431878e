//! The ordered fallbacks of a platform: the other platforms whose images its processor runs.
//!
//! A processor runs images for its older variants, and most 64-bit processors run images for their
//! 32-bit ancestors. An image for a newer variant is never a fallback.

use super::Platform;

/// The highest known minor version of 64-bit Arm v8. Nothing is assumed about a higher one.
const MAX_V8_MINOR: u8 = 9;

/// The highest known minor version of 64-bit Arm v9.
const MAX_V9_MINOR: u8 = 7;

/// 64-bit Arm v9.n includes v8.(n + 5).
const V8_MINOR_OF_V9_0: u8 = 5;

/// The oldest version of 32-bit Arm that is a fallback.
const MIN_ARM_VERSION: u8 = 5;

/// `wanted` itself, then its fallbacks, best first. All are normalised.
///
/// Empty for an unknown variant of `arm64`, as in containerd. A variant with a number above 255 has
/// no older ones.
pub(super) fn of(wanted: &Platform) -> Vec<Platform> {
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
mod tests {
    use super::*;

    fn order(platform: &str) -> Vec<String> {
        of(&platform.parse().unwrap())
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
