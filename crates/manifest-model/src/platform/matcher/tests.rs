use super::*;

fn parse(text: &str) -> Platform {
    text.parse().unwrap()
}

fn with_features(text: &str, features: &[&str]) -> Platform {
    Platform {
        os_features: features.iter().map(ToString::to_string).collect(),
        ..parse(text)
    }
}

/// The best of some platforms, the first among equals.
fn best<'a>(matcher: &Matcher, offered: &[&'a str]) -> Option<&'a str> {
    let fitting = offered.iter().filter(|text| matcher.matches(&parse(text)));
    fitting
        .min_by(|a, b| matcher.compare(&parse(a), &parse(b)))
        .copied()
}

#[test]
fn fallbacks_are_taken_in_order() {
    let matcher = Matcher::new(&parse("linux/arm/v7"));
    assert_eq!(
        best(&matcher, &["linux/arm/v5", "linux/arm/v6", "linux/amd64"]),
        Some("linux/arm/v6")
    );
    assert_eq!(best(&matcher, &["linux/arm/v8", "linux/arm64"]), None);
}

#[test]
fn strict_takes_no_fallback_but_every_spelling() {
    let strict = Matcher::strict(&parse("linux/arm64"));
    assert!(strict.matches(&Platform {
        variant: "v8".into(),
        ..parse("linux/aarch64")
    }));
    assert!(!strict.matches(&parse("linux/arm/v8")));
    assert!(!Matcher::strict(&parse("linux/amd64")).matches(&parse("linux/386")));
    assert!(Matcher::only(&parse("linux/amd64")).matches(&parse("linux/386")));
}

#[test]
fn each_kind_of_fallbacks_makes_its_matcher() {
    let wanted = parse("linux/amd64/v2");
    assert_eq!(
        Matcher::with(&wanted, Fallbacks::Allowed),
        Matcher::only(&wanted)
    );
    assert_eq!(
        Matcher::with(&wanted, Fallbacks::Strict),
        Matcher::strict(&wanted)
    );
}

#[test]
fn a_windows_client_takes_the_newest_that_runs() {
    let matcher = Matcher::new(&parse("windows(10.0.26100)/amd64"));
    let offered = [
        "windows(10.0.17763.1)/amd64",
        "windows(10.0.20348.1)/amd64",
        "windows(10.0.26100.2)/amd64",
    ];
    assert_eq!(best(&matcher, &offered), Some(offered[2]));
    assert_eq!(best(&matcher, &offered[..2]), Some(offered[1]));
    assert_eq!(best(&matcher, &offered[..1]), None);
}

#[test]
fn a_windows_client_compares_versions_as_text_and_has_no_fallbacks() {
    let matcher = Matcher::new(&parse("windows/amd64"));
    let offered = [
        "windows(10.0.20348.100)/amd64",
        "windows(10.0.20348.99)/amd64",
    ];
    assert_eq!(best(&matcher, &offered), Some(offered[1]));
    assert!(!matcher.matches(&parse("windows/386")));
    assert!(Matcher::only(&parse("windows/amd64")).matches(&parse("windows/386")));
}

#[test]
fn the_ordered_matcher_minds_windows_versions_too_but_does_not_sort_by_them() {
    let matcher = Matcher::only(&parse("windows(10.0.26100)/amd64"));
    let offered = [
        "windows(10.0.17763)/amd64",
        "windows(10.0.20348)/amd64",
        "windows(10.0.26100)/amd64",
    ];
    assert_eq!(best(&matcher, &offered), Some(offered[1]));
}

#[test]
fn a_version_matters_on_windows_alone() {
    assert!(Matcher::new(&parse("linux(5.0)/amd64")).matches(&parse("linux(6.0)/amd64")));
}

#[test]
fn an_image_that_demands_a_feature_needs_it() {
    let plain = Matcher::new(&parse("linux/amd64"));
    assert!(!plain.matches(&with_features("linux/amd64", &["erofs"])));
    let able = Matcher::new(&with_features("linux/amd64", &["x", "erofs"]));
    assert!(able.matches(&with_features("linux/amd64", &["erofs"])));
    assert!(able.matches(&parse("linux/amd64")));
    assert!(!able.matches(&with_features("linux/amd64", &["erofs", "other"])));
}

#[test]
fn more_features_in_use_are_better() {
    let able = Matcher::new(&with_features("linux/amd64", &["a", "b"]));
    let (none, one) = (parse("linux/amd64"), with_features("linux/amd64", &["a"]));
    assert_eq!(able.compare(&one, &none), Ordering::Less);
    assert_eq!(able.compare(&parse("linux/386"), &none), Ordering::Greater);
}

#[test]
fn win32k_is_ignored_on_windows_and_demanded_elsewhere() {
    let windows = with_features("windows/amd64", &["win32k"]);
    assert!(Matcher::new(&parse("windows/amd64")).matches(&windows));
    assert!(
        !Matcher::new(&parse("windows/amd64"))
            .matches(&with_features("windows/amd64", &["win32k", "x"]))
    );
    assert!(
        !Matcher::new(&parse("linux/amd64")).matches(&with_features("linux/amd64", &["win32k"]))
    );
}

#[test]
fn nothing_matches_unknown() {
    let unknown = parse("unknown/unknown");
    assert!(!Matcher::new(&unknown).matches(&unknown));
    assert!(!Matcher::strict(&unknown).matches(&unknown));
}

#[test]
fn platforms_that_do_not_match_are_last_and_equal() {
    let matcher = Matcher::new(&parse("linux/amd64"));
    let (fits, one, two) = (
        parse("linux/386"),
        parse("linux/arm64"),
        parse("linux/s390x"),
    );
    assert_eq!(matcher.compare(&fits, &one), Ordering::Less);
    assert_eq!(matcher.compare(&one, &fits), Ordering::Greater);
    assert_eq!(matcher.compare(&one, &two), Ordering::Equal);
}

fn order(platform: &str) -> Vec<String> {
    with_fallbacks(&platform.parse().unwrap())
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
