use super::*;
use crate::Word;

fn parse(text: &str) -> Platform {
    text.parse().unwrap()
}

fn fields(platform: &Platform) -> [&str; 4] {
    [
        &platform.os,
        &platform.architecture,
        &platform.variant,
        &platform.os_version,
    ]
}

#[test]
fn every_part_is_read() {
    assert_eq!(fields(&parse("linux/amd64")), ["linux", "amd64", "", ""]);
    assert_eq!(fields(&parse("linux/arm/v6")), ["linux", "arm", "v6", ""]);
    assert_eq!(
        fields(&parse("windows(10.0.20348)/amd64")),
        ["windows", "amd64", "", "10.0.20348"]
    );
    assert_eq!(
        fields(&parse("windows()/amd64")),
        ["windows", "amd64", "", ""]
    );
}

#[test]
fn the_result_is_normalised() {
    let cases = [
        ("Linux/AMD64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/x86-64/v3", "linux/amd64/v3"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/i386", "linux/386"),
        ("linux/i386/x", "linux/386"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/v8.0", "linux/arm64"),
        ("linux/arm64/9", "linux/arm64/v9"),
        ("linux/arm64/v9.0", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel/v7", "linux/arm/v6"),
        ("macos/arm64", "darwin/arm64"),
    ];
    for (text, normal) in cases {
        assert_eq!(parse(text).to_string(), normal, "{text}");
        assert_eq!(parse(normal), parse(text), "{text}");
    }
}

#[test]
fn a_known_architecture_alone_is_linuxs() {
    assert_eq!(parse("arm64").to_string(), "linux/arm64");
    assert_eq!(parse("x86_64").to_string(), "linux/amd64");
    assert_eq!(parse("armel").to_string(), "linux/arm/v6");
}

#[test]
fn an_operating_system_alone_is_refused_and_so_is_an_unknown_word() {
    let problem = |text: &str| text.parse::<Platform>().unwrap_err().problem();
    for text in ["linux", "Windows", "macos"] {
        assert!(problem(text).starts_with("an operating system"), "{text}");
    }
    assert!(problem("windows(10.0.20348)").starts_with("an operating system"));
    assert!(problem("quantum").starts_with("neither"));
}

#[test]
fn malformed_platforms_are_refused() {
    let long = format!("linux/{}", "a".repeat(195));
    let cases = [
        "",
        "/",
        "linux/",
        "/amd64",
        "linux//v7",
        "linux/arm/",
        "linux/arm/v7/x",
        "linux/*",
        "li nux/amd64",
        "linux/ä",
        "windows(10.0/amd64",
        "windows10.0)/amd64",
        "windows(1)(2)/amd64",
        "windows(1)x/amd64",
        "(1)/amd64",
        "windows(1+)/amd64",
        "linux(+)/amd64",
        "linux(erofs+/amd64",
        "linux(+a b)/amd64",
        "linux(+a%2)/amd64",
        "linux(+a%zz)/amd64",
        "linux(+a%ff)/amd64",
        "linux(+a%0a)/amd64",
        "linux+erofs/amd64",
        "linux/amd64\n",
        "li.nux/amd64",
        "linux/amd64(1)",
        &long,
    ];
    for text in cases {
        assert_eq!(
            text.parse::<Platform>().unwrap_err().word(),
            Word::Platform,
            "{text}"
        );
    }
    assert!(long[..200].parse::<Platform>().is_ok());
}

#[test]
fn a_path_has_dashes_in_place_of_slashes() {
    let cases = [
        ("linux-arm64", "linux/arm64"),
        ("linux-arm-v7", "linux/arm/v7"),
        ("linux-arm64-v9.2", "linux/arm64/v9.2"),
        ("linux-x86-64", "linux/amd64"),
        ("linux-x86-64-v3", "linux/amd64/v3"),
        ("windows(10.0.20348)-amd64", "windows(10.0.20348)/amd64"),
        ("windows(10-rc)-amd64", "windows(10-rc)/amd64"),
        ("linux(+my-feat+b)-arm-v6", "linux(+b+my-feat)/arm/v6"),
        (
            "windows(10.0.20348+win32k)-amd64",
            "windows(10.0.20348+win32k)/amd64",
        ),
        ("linux(+a%2Fb)-amd64", "linux(+a%2Fb)/amd64"),
        ("arm64", "linux/arm64"),
    ];
    for (form, platform) in cases {
        assert_eq!(
            Platform::from_path_form(form).unwrap().to_string(),
            platform,
            "{form}"
        );
    }
    for form in [
        "",
        "linux/arm64",
        "linux",
        "linux-arm-v7-x",
        "linux--v7",
        "-arm64",
        "windows(1)x-amd64",
    ] {
        let error = Platform::from_path_form(form).unwrap_err();
        assert_eq!(error.input(), form);
    }
}

#[test]
fn features_are_sorted_and_unique() {
    let platform = Platform {
        os_features: vec!["b".into(), "a".into(), "b".into()],
        ..parse("linux/amd64")
    };
    assert_eq!(platform.normalized().os_features, ["a", "b"]);
    assert_eq!(platform.to_string(), "linux(+a+b)/amd64");
}

#[test]
fn version_and_features_stand_behind_the_operating_system() {
    for (text, version, features, written) in [
        (
            "linux(+erofs+foo)/amd64",
            "",
            &["erofs", "foo"][..],
            "linux(+erofs+foo)/amd64",
        ),
        (
            "linux(+foo+erofs+foo)/amd64",
            "",
            &["erofs", "foo"],
            "linux(+erofs+foo)/amd64",
        ),
        ("linux(+e)/arm", "", &["e"], "linux(+e)/arm/v7"),
        (
            "windows(10.0.1+win32k)/amd64",
            "10.0.1",
            &["win32k"],
            "windows(10.0.1+win32k)/amd64",
        ),
        (
            "windows(1%2Bb.4+w)/amd64",
            "1+b.4",
            &["w"],
            "windows(1%2Bb.4+w)/amd64",
        ),
        (
            "linux(+%61%2f%28%29%25)/amd64",
            "",
            &["a/()%"],
            "linux(+a%2F%28%29%25)/amd64",
        ),
        (
            "linux(+%c3%a9%20)/amd64",
            "",
            &["\u{e9} "],
            "linux(+%C3%A9%20)/amd64",
        ),
        ("linux()/amd64", "", &[], "linux/amd64"),
    ] {
        let platform = parse(text);
        assert_eq!(
            (
                platform.os_version.as_str(),
                platform.os_features.as_slice()
            ),
            (
                version,
                features
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .as_slice()
            ),
            "{text}"
        );
        assert_eq!(platform.to_string(), written, "{text}");
        assert_eq!(parse(written), platform, "{text}");
    }
}

#[test]
fn a_feature_without_a_name_is_not_written() {
    let platform = with_features("linux/amd64", &["", "gpu", ""]);
    assert_eq!(platform.to_string(), "linux(+gpu)/amd64");
    assert_eq!(
        with_features("linux/amd64", &[""]).to_string(),
        "linux/amd64"
    );
}

fn with_features(text: &str, features: &[&str]) -> Platform {
    Platform {
        os_features: features.iter().map(ToString::to_string).collect(),
        ..parse(text)
    }
}

#[test]
fn a_missing_operating_system_becomes_linux_when_normalised() {
    let platform: Platform = serde_json::from_str(r#"{"architecture":"amd64"}"#).unwrap();
    assert_eq!(platform.os, "");
    assert_eq!(platform.normalized().os, "linux");
}

#[test]
fn json_has_the_names_of_the_image_specification() {
    let json =
        r#"{"os":"windows","architecture":"amd64","os.version":"10.0.1","os.features":["win32k"]}"#;
    let platform: Platform = serde_json::from_str(json).unwrap();
    assert_eq!(platform.os_version, "10.0.1");
    assert_eq!(serde_json::to_string(&platform).unwrap(), json);
    assert_eq!(serde_json::to_string(&Platform::default()).unwrap(), "{}");
}

#[test]
fn the_platform_of_a_configuration_is_normalised() {
    let config = br#"{"os":"linux","architecture":"aarch64","variant":"v8","config":{"Cmd":[]},"rootfs":{}}"#;
    assert_eq!(Platform::of_config(config).unwrap(), parse("linux/arm64"));
    assert_eq!(Platform::of_config(b"[]"), Err(ManifestError::NotObject));
    assert_eq!(Platform::of_config(b"\xff"), Err(ManifestError::NotObject));
}

#[test]
fn the_configuration_of_an_artifact_fits_nothing() {
    let none = Platform::of_config(b"{}").unwrap();
    assert_eq!(none.architecture, "");
    assert!(!crate::Matcher::new(&parse("linux/amd64")).matches(&none));
}

#[test]
fn unknown_is_both_halves() {
    assert!(parse("unknown/unknown").is_unknown());
    assert!(parse("Unknown/UNKNOWN").is_unknown());
    assert!(!parse("linux/unknown").is_unknown());
    assert!(!parse("unknown/amd64").is_unknown());
}

#[test]
fn this_machine_has_a_platform_that_can_be_written_down() {
    let host = Platform::host();
    assert_eq!(host, host.normalized());
    assert_eq!(parse(&host.to_string()), host);
}
