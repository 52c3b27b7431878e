use proptest::prelude::*;

use super::*;

fn host(text: &str) -> Host {
    text.parse().unwrap()
}

fn pattern(text: &str) -> HostPattern {
    text.parse().unwrap()
}

#[test]
fn a_host_is_a_name_or_an_address_with_an_optional_port() {
    let cases = [
        ("docker.io", "docker.io", "docker.io"),
        (
            "Registry-1.Docker.IO",
            "registry-1.docker.io",
            "registry-1.docker.io",
        ),
        ("localhost", "localhost", "localhost"),
        ("my_registry:5000", "my_registry:5000", "my_registry"),
        ("127.0.0.1:5000", "127.0.0.1:5000", "127.0.0.1"),
        ("[::1]", "[::1]", "[::1]"),
        ("[0:0:0:0:0:0:0:1]:65535", "[::1]:65535", "[::1]"),
    ];
    for (text, expected, name) in cases {
        let host = host(text);
        assert_eq!(host.to_string(), expected, "{text}");
        assert_eq!(host.name(), name, "{text}");
        assert_eq!(host.without_port().as_str(), name, "{text}");
    }
}

#[test]
fn what_is_no_host_is_refused_with_its_reason() {
    let long_label = "a".repeat(64);
    let long_name = ["a"; 128].join(".");
    let cases = [
        ("", HostError::Empty),
        (":5000", HostError::Empty),
        (long_label.as_str(), HostError::TooLong),
        (long_name.as_str(), HostError::TooLong),
        ("a..b", HostError::Name),
        ("a.", HostError::Name),
        ("-a.b", HostError::Name),
        ("a/b", HostError::Name),
        ("a b", HostError::Name),
        ("user@a.b", HostError::Name),
        ("bücher.example", HostError::Name),
        ("a%2eb", HostError::Name),
        ("127.1", HostError::Name),
        ("0x7f.0.0.1", HostError::Name),
        ("256.0.0.1", HostError::Name),
        ("[::1", HostError::Ipv6),
        ("[127.0.0.1]", HostError::Ipv6),
        ("[fe80::1%eth0]", HostError::Ipv6),
        ("[::1]5000", HostError::Port),
        ("a:", HostError::Port),
        ("a:0", HostError::Port),
        ("a:080", HostError::Port),
        ("a:+80", HostError::Port),
        ("a:65536", HostError::Port),
        ("a:1:2", HostError::Port),
    ];
    for (text, expected) in cases {
        assert_eq!(text.parse::<Host>(), Err(expected), "{text}");
    }
}

#[test]
fn the_first_part_of_a_name_is_a_host_by_dockers_rule() {
    for (text, expected) in [
        ("docker.io", true),
        ("registry:5000", true),
        ("localhost", true),
        ("library", false),
        ("registry", false),
        ("", false),
    ] {
        assert_eq!(looks_like_host(text), expected, "{text}");
    }
}

/// `SERVICE REGION SUFFIX`: commercial, US government, China, EU sovereign, isolated, then
/// dual-stack.
const ECR_HOSTS: &str = "
    dkr.ecr       us-east-1       amazonaws.com
    dkr.ecr-fips  us-east-2       amazonaws.com
    dkr.ecr       us-gov-west-1   amazonaws.com
    dkr.ecr-fips  us-gov-east-1   amazonaws.com
    dkr.ecr       cn-north-1      amazonaws.com.cn
    dkr.ecr       cn-northwest-1  amazonaws.com.cn
    dkr.ecr       eusc-de-east-1  amazonaws.eu
    dkr.ecr       us-iso-east-1   c2s.ic.gov
    dkr.ecr       us-isob-east-1  sc2s.sgov.gov
    dkr.ecr       eu-isoe-west-1  cloud.adc-e.uk
    dkr.ecr       us-isof-south-1 csp.hci.ic.gov
    dkr-ecr       eu-west-1       on.aws
    dkr-ecr-fips  us-east-1       on.aws
    dkr-ecr       cn-north-1      on.amazonwebservices.com.cn
";

#[test]
fn ecr_hosts_of_every_partition_are_recognised() {
    for line in ECR_HOSTS.trim().lines() {
        let [service, region, suffix] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("three words are expected: {line}");
        };
        let host = host(&format!("123456789012.{service}.{region}.{suffix}"));
        let ecr = host.ecr().unwrap_or_else(|| panic!("{host} is ECR's"));
        assert_eq!(
            (ecr.account.as_str(), ecr.region.as_str()),
            ("123456789012", region)
        );
        assert_eq!(
            (ecr.suffix, ecr.variant.fips),
            (suffix, service.ends_with("-fips")),
            "{host}"
        );
        assert_eq!(
            ecr.variant.dual_stack,
            service.starts_with("dkr-ecr"),
            "{host}"
        );
        assert!(
            every_ecr_host().any(|pattern| pattern.matches(&host)),
            "{host}"
        );
    }
}

#[test]
fn what_only_resembles_an_ecr_host_is_none() {
    for text in [
        "public.ecr.aws",
        "ecr-public.aws.com",
        "api.ecr.eu-west-1.amazonaws.com",
        "dkr.ecr.eu-west-1.amazonaws.com",
        "12345678901.dkr.ecr.eu-west-1.amazonaws.com",
        "1234567890123.dkr.ecr.eu-west-1.amazonaws.com",
        "12345678901a.dkr.ecr.eu-west-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
        "123456789012.dkr.ecr.eu-west-1.evil.amazonaws.com",
        "123456789012.dkr.ecr.amazonaws.com",
        "123456789012.dkr.ecr-other.eu-west-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west-1.on.aws",
        "123456789012.dkr-ecr.eu-west-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com:443",
        "123456789012.dkr.ecr.random.amazonaws.com",
        "123456789012.dkr.ecr.random-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west.amazonaws.com",
        "123456789012.dkr.ecr.eu--1.amazonaws.com",
        "123456789012.dkr.ecr.eu-w3st-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west-123.amazonaws.com",
        "123456789012.dkr.ecr.europe-west-1.amazonaws.com",
    ] {
        assert_eq!(host(text).ecr(), None, "{text}");
    }
}

#[test]
fn a_star_is_one_or_more_characters_of_one_label() {
    let ecr = pattern("*.DKR.ecr.*.amazonaws.com");
    for (text, expected) in [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", true),
        ("a.b.dkr.ecr.eu-west-1.amazonaws.com", false),
        ("123456789012.dkr.ecr.amazonaws.com", false),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com.cn", false),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com:443", false),
    ] {
        assert_eq!(ecr.matches(&host(text)), expected, "{text}");
    }
    let part = pattern("team*.registry.example:5000");
    assert!(part.matches(&host("team-a.registry.example:5000")));
    assert!(!part.matches(&host("team.registry.example:5000")));
    assert!(!part.matches(&host("team-a.registry.example")));
}

#[test]
fn a_pattern_may_be_ecrs_where_a_star_can_stand_for_a_region() {
    for (text, expected) in [
        ("*.dkr.ecr.*.amazonaws.com", true),
        ("*.dkr.ecr.us-*.amazonaws.com", true),
        ("123456789012.dkr.ecr.*-1.amazonaws.com", true),
        ("*.dkr.ecr.cn-north-1.amazonaws.com.cn", true),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", true),
        ("*.dkr.ecr.random.amazonaws.com", false),
        ("*.registry.example", false),
        ("docker.io", false),
    ] {
        assert_eq!(pattern(text).may_be_ecr(), expected, "{text}");
    }
}

#[test]
fn a_pattern_without_a_star_is_a_host() {
    assert_eq!(pattern("Docker.io").exact(), Some(&host("docker.io")));
    assert!(pattern("[::1]:5000").matches(&host("[::1]:5000")));
}

#[test]
fn a_pattern_that_could_reach_any_address_is_refused() {
    for text in [
        "*",
        "*.*",
        "10.0.0.*",
        "registry.example:*",
        "registry.*:5000",
    ] {
        assert_eq!(
            text.parse::<HostPattern>(),
            Err(HostPatternError::OpenEnd),
            "{text}"
        );
    }
    assert_eq!(
        "*..example".parse::<HostPattern>(),
        Err(HostPatternError::Host(HostError::Name))
    );
    assert_eq!(
        "169.*.169.254".parse::<HostPattern>(),
        Err(HostPatternError::Host(HostError::Name))
    );
}

#[test]
fn patterns_sort_by_how_much_they_spell_out() {
    let mut patterns: Vec<_> = [
        "*.example.com",
        "a.example.com",
        "*.b.example.com",
        "a*.b.example.com",
        "z.io",
    ]
    .map(pattern)
    .into();
    patterns.sort();
    let sorted: Vec<_> = patterns.iter().map(HostPattern::as_str).collect();
    assert_eq!(
        sorted,
        [
            "a.example.com",
            "z.io",
            "a*.b.example.com",
            "*.b.example.com",
            "*.example.com"
        ]
    );
}

#[test]
fn two_patterns_overlap_where_a_host_could_match_both() {
    for (a, b, overlap) in [
        (
            "*.dkr.ecr.*.amazonaws.com",
            "*.dkr.ecr.eu-west-1.amazonaws.com",
            true,
        ),
        (
            "1*.dkr.ecr.*.amazonaws.com",
            "*.dkr.ecr.eu-west-1.amazonaws.com",
            true,
        ),
        ("*.example.com", "a.example.com", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", "*.example.org", false),
        ("*.b.example", "*.c.example", false),
        ("a.example", "a.example", true),
        ("a.example", "a.example:5000", false),
    ] {
        assert_eq!(pattern(a).overlaps(&pattern(b)), overlap, "{a} {b}");
        assert_eq!(pattern(b).overlaps(&pattern(a)), overlap, "{b} {a}");
    }
}

#[test]
fn addresses_and_localhost_are_names_nobody_else_can_point_at_us() {
    let is = |text: &str| text.parse::<Host>().unwrap().is_address_or_localhost();
    for text in [
        "127.0.0.1:5000",
        "10.0.0.1",
        "[::1]:5000",
        "localhost",
        "LOCALHOST:5000",
    ] {
        assert!(is(text), "{text}");
    }
    for text in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "a:1",
    ] {
        assert!(!is(text), "{text}");
    }
}

proptest! {
    #[test]
    fn display_is_the_inverse_of_parse(text in "[a-zA-Z0-9_.:\\[\\]-]{0,24}") {
        if let Ok(host) = text.parse::<Host>() {
            prop_assert_eq!(host.to_string().parse::<Host>(), Ok(host.clone()));
            let url = format!("https://{host}/");
            prop_assert!(url::Url::parse(&url).is_ok());
        }
    }

    #[test]
    fn no_text_makes_parsing_panic(text in any::<String>()) {
        let _ = text.parse::<Host>().map(|host| host.ecr());
        let _ = text.parse::<HostPattern>();
    }
}
