//! The meaning of valid files.

use std::{net::IpAddr, path::Path, process::Command, time::Duration};

use protocol::host::{EcrVariant, Host};

use crate::{Auth, Config, EcrAuth, EcrPublicAuth, LogFormat, Reach, Resolve, Space};

fn parse(text: &str) -> Config {
    Config::parse("archway.toml", text).unwrap()
}

fn host(text: &str) -> Host {
    text.parse().unwrap()
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = parse("");
    assert_eq!(config, Config::embedded().unwrap());
    assert_eq!(config.default_upstream, host("docker.io"));
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.listeners[0].address.to_string(), "127.0.0.1:5000");
    let admin = config.admin;
    assert_eq!(admin.address, "127.0.0.1:9464".parse().ok());
    assert_eq!(admin.socket, crate::AdminSocket::InCache);
    assert!(!admin.images && admin.names.is_empty());
    assert_eq!(config.cache.max_size, Space::Bytes(50 << 30));
    assert_eq!(config.cache.max_fills, 64);
    assert_eq!(config.cache.max_calls, 128);
    assert_eq!(config.platform.default.to_string(), "linux/amd64");
    assert_eq!(config.log.format, LogFormat::Auto);
    assert_eq!(
        (config.log.level.as_str(), config.log.access),
        ("info", true)
    );
    assert_eq!(config.server.shutdown_grace, Duration::from_secs(30));
    assert_eq!(config.server.header_timeout, Duration::from_secs(10));
    assert_eq!(config.server.max_connections, 10_000);
    assert!(config.server.replay);
}

#[test]
fn an_upstream_table_needs_no_key() {
    let upstream = parse("[upstream.\"docker.io\"]")
        .upstreams
        .find(&host("docker.io"))
        .unwrap();
    assert_eq!(upstream.endpoints[0].auth, Auth::Anonymous);
    assert_eq!(upstream.platform, None);
    assert_eq!(upstream.resolve, Resolve::Explicit);
    assert_eq!(upstream.tag_ttl, Duration::from_mins(1));
    assert_eq!(upstream.stale_if_error, Duration::from_hours(24));
    assert_eq!(upstream.not_found_ttl, Duration::from_secs(10));
    assert_eq!(upstream.immutable_tags, []);
    assert_eq!(upstream.connect_timeout, Duration::from_secs(3));
    assert_eq!(upstream.header_timeout, Duration::from_secs(8));
    assert_eq!(upstream.idle_timeout, Duration::from_secs(5));
    assert_eq!(upstream.ca_file, None);
}

#[test]
fn without_a_table_the_public_registries_and_every_ecr_host_can_be_reached() {
    let upstreams = Config::embedded().unwrap().upstreams;
    let endpoint = |name: &str| {
        upstreams
            .find(&host(name))
            .map(|found| found.endpoints[0].url.to_string())
    };
    assert_eq!(
        endpoint("docker.io").as_deref(),
        Some("https://registry-1.docker.io/")
    );
    for name in [
        "ghcr.io",
        "quay.io",
        "public.ecr.aws",
        "registry.k8s.io",
        "gcr.io",
        "mcr.microsoft.com",
        "registry.gitlab.com",
        "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
        "123456789012.dkr-ecr-fips.us-east-1.on.aws",
    ] {
        assert_eq!(endpoint(name), Some(format!("https://{name}/")), "{name}");
    }
    for name in [
        "registry.example",
        "docker.io:443",
        "127.0.0.1",
        "169.254.169.254",
        "other.dkr.ecr.eu-west-1.amazonaws.com",
    ] {
        assert_eq!(endpoint(name), None, "{name}");
    }
}

#[test]
fn once_a_file_has_upstreams_only_they_can_be_reached() {
    let config = parse("[upstream.\"*.dkr.ecr.*.amazonaws.com\"]");
    assert!(
        config
            .upstreams
            .find(&host("123456789012.dkr.ecr.eu-west-1.amazonaws.com"))
            .is_some()
    );
    assert!(config.upstreams.find(&host("ghcr.io")).is_none());
    // The file does not name it, so its absence is no mistake.
    assert_eq!(config.default_upstream, host("docker.io"));
    assert!(config.upstreams.find(&config.default_upstream).is_none());
}

#[test]
fn an_exact_name_goes_before_a_pattern_and_the_closer_pattern_before_the_wider() {
    let config = parse(
        r#"
        [upstream."*.registry.example"]
        endpoints = ["http://wide.example"]
        [upstream."a*.registry.example"]
        endpoints = ["http://close.example"]
        [upstream."ab.registry.example"]
        endpoints = ["http://exact.example", "http://second.example:81"]
        "#,
    );
    let endpoints = |name: &str| -> Vec<String> {
        let found = config.upstreams.find(&host(name)).unwrap();
        let urls = found.endpoints.iter();
        urls.map(|endpoint| endpoint.url.to_string()).collect()
    };
    assert_eq!(
        endpoints("ab.registry.example"),
        ["http://exact.example/", "http://second.example:81/"]
    );
    assert_eq!(endpoints("ac.registry.example"), ["http://close.example/"]);
    assert_eq!(endpoints("b.registry.example"), ["http://wide.example/"]);
}

#[test]
fn who_archway_is_follows_from_the_host_unless_it_is_said() {
    let config = parse(
        r#"
        [upstream."*.dkr.ecr.*.amazonaws.com.cn"]
        [upstream."*.dkr.ecr.*.amazonaws.com"]
        auth = { ecr = { endpoint = "http://127.0.0.1:22100" } }
        [upstream."registry.internal.example"]
        auth = { ecr = { region = "eu-west-1" } }
        [upstream."public.ecr.aws"]
        [upstream."ecr-public.aws.com"]
        auth = "ecr-public"
        [upstream."quay.io"]
        auth = "docker-config"
        [upstream."123456789012.dkr.ecr.eu-west-1.amazonaws.com"]
        auth = "anonymous"
        "#,
    );
    let auth = |name: &str| {
        let found = config.upstreams.find(&host(name))?;
        Some(found.endpoints[0].auth.clone())
    };
    let ecr = |endpoint: Option<&str>, region: &str| {
        let endpoint = endpoint.map(|url| url.parse().unwrap());
        Some(Auth::Ecr(EcrAuth {
            endpoint,
            region: region.to_owned(),
            variant: EcrVariant::default(),
            role: None,
        }))
    };
    assert_eq!(
        auth("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"),
        ecr(None, "cn-north-1")
    );
    assert_eq!(
        auth("123456789012.dkr.ecr.us-east-1.amazonaws.com"),
        ecr(Some("http://127.0.0.1:22100"), "us-east-1")
    );
    assert_eq!(auth("registry.internal.example"), ecr(None, "eu-west-1"));
    assert_eq!(auth("public.ecr.aws"), Some(Auth::Anonymous));
    assert_eq!(
        auth("ecr-public.aws.com"),
        Some(Auth::EcrPublic(EcrPublicAuth {
            endpoint: None,
            role: None
        }))
    );
    assert_eq!(auth("quay.io"), Some(Auth::DockerConfig));
    assert_eq!(
        auth("123456789012.dkr.ecr.eu-west-1.amazonaws.com"),
        Some(Auth::Anonymous)
    );
    // The pattern matches, but there is no region to ask for a token.
    assert_eq!(auth("other.dkr.ecr.eu-west-1.amazonaws.com"), None);
}

#[test]
fn an_endpoint_may_be_told_not_to_learn_who_archway_is() {
    let config = parse(
        r#"
        [upstream."docker.io"]
        auth = "docker-config"
        endpoints = [{ url = "http://peer.example:5000", auth = false }, { url = "http://10.0.0.7", auth = true }, "https://hub.example"]
        "#,
    );
    let found = config.upstreams.find(&host("docker.io")).unwrap();
    let endpoints = found.endpoints.into_iter();
    let endpoints: Vec<_> = endpoints
        .map(|endpoint| (endpoint.url.to_string(), endpoint.auth))
        .collect();
    let expected = [
        ("http://peer.example:5000/", Auth::Anonymous),
        ("http://10.0.0.7/", Auth::DockerConfig),
        ("https://hub.example/", Auth::DockerConfig),
    ];
    assert_eq!(
        endpoints,
        expected.map(|(url, auth)| (url.to_owned(), auth))
    );
}

#[test]
fn a_password_is_read_from_its_file_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub");
    std::fs::write(&path, "hunter2\n").unwrap();
    let text = format!(
        "[upstream.\"docker.io\"]\nauth = {{ username = \"me\", password_file = \"{}\" }}",
        path.display()
    );
    let config = parse(&text);
    let upstream = config.upstreams.find(&host("docker.io")).unwrap();
    let Auth::Password { username, password } = &upstream.endpoints[0].auth else {
        panic!("a login was configured");
    };
    assert_eq!(
        (username.as_str(), password.read().unwrap().as_str()),
        ("me", "hunter2")
    );
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!config.to_toml().contains("hunter2"));
}

#[test]
fn a_virtual_host_means_its_upstream_on_every_port() {
    let config = parse(
        "[upstream.\"docker.io\"]\nhosts = [\"hub.mirror.example\", \"mirror.example:5001\"]",
    );
    let upstream = |name: &str| config.upstreams.by_virtual_host(&host(name));
    assert_eq!(upstream("hub.mirror.example"), Some(host("docker.io")));
    assert_eq!(upstream("Hub.Mirror.Example:5000"), Some(host("docker.io")));
    assert_eq!(upstream("mirror.example:5001"), Some(host("docker.io")));
    assert_eq!(upstream("mirror.example"), None);
}

#[test]
fn the_narrowest_network_names_the_platform() {
    let config = parse(
        r#"
        [platform]
        addresses = { "10.0.0.0/8" = "linux/amd64", "10.1.0.0/16" = "linux/arm64", "10.1.2.3" = "linux/arm/v7", "fd00::/8" = "linux/riscv64" }
        "#,
    );
    let platform = |address: &str| {
        let address: IpAddr = address.parse().unwrap();
        config.platform.of_address(address).map(ToString::to_string)
    };
    assert_eq!(platform("10.1.2.3").as_deref(), Some("linux/arm/v7"));
    assert_eq!(platform("10.1.2.4").as_deref(), Some("linux/arm64"));
    assert_eq!(platform("::ffff:10.2.0.1").as_deref(), Some("linux/amd64"));
    assert_eq!(platform("fd00::1").as_deref(), Some("linux/riscv64"));
    assert_eq!(platform("192.0.2.1"), None);
}

#[test]
fn a_host_names_its_platform_on_every_port() {
    let config = parse("[platform]\nhosts = { \"arm64.mirror.example\" = \"linux/arm64\" }");
    assert!(
        config
            .platform
            .of_host(&host("arm64.mirror.example:5000"))
            .is_some()
    );
    assert!(config.platform.of_host(&host("mirror.example")).is_none());
}

#[test]
fn host_is_this_machines_platform() {
    let config = parse("[[listener]]\naddress = \"127.0.0.1:0\"\nplatform = \"host\"");
    assert_eq!(
        config.listeners[0].platform,
        Some(protocol::platform_request::PlatformRequest::Platform(
            manifest_model::Platform::host()
        ))
    );
}

#[test]
fn two_listeners_may_take_any_free_port() {
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\n";
    let config = parse(&format!(
        "{listener}{listener}[admin]\naddress = \"127.0.0.1:0\"\n"
    ));
    assert_eq!(config.listeners.len(), 2);
}

#[test]
fn the_admin_listener_can_be_off() {
    assert_eq!(parse("[admin]\naddress = \"off\"").admin.address, None);
}

#[test]
fn a_network_of_ipv4_addresses_is_one_however_it_is_spelt() {
    let text = "[platform]\n\
                addresses = { \"::ffff:10.0.0.0/104\" = \"linux/arm64\", \"::ffff:192.0.2.1\" = \"linux/s390x\" }\n\
                [server]\n\
                trusted_proxies = [\"::ffff:10.0.0.0/104\", \"2001:db8::/32\"]";
    let config = Config::parse("archway.toml", text).unwrap();
    let of = |address: &str| {
        let wish = config.platform.of_address(address.parse().unwrap());
        wish.map(ToString::to_string)
    };
    assert_eq!(of("10.1.2.3").as_deref(), Some("linux/arm64"));
    assert_eq!(of("192.0.2.1").as_deref(), Some("linux/s390x"));
    assert_eq!(of("11.0.0.1"), None);
    let trusted = &config.server.trusted_proxies;
    assert_eq!(trusted[0].to_string(), "10.0.0.0/8");
    assert_eq!(trusted[1].to_string(), "2001:db8::/32");
}

#[test]
fn an_upstream_is_offline_by_its_table_or_with_all_others() {
    let one = parse("[upstream.\"docker.io\"]\noffline = true\n[upstream.\"quay.io\"]");
    let is_offline =
        |config: &Config, name: &str| config.upstreams.find(&host(name)).unwrap().offline;
    assert!(is_offline(&one, "docker.io") && !is_offline(&one, "quay.io"));
    assert!(!one.upstreams.are_offline());
    let names: Vec<_> = one
        .upstreams
        .offline_patterns()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["docker.io"]);
    let all = parse("offline = true\n[upstream.\"docker.io\"]\n[upstream.\"quay.io\"]");
    assert!(is_offline(&all, "docker.io") && is_offline(&all, "quay.io"));
    let built_in = Config::embedded_as(Reach::Offline).unwrap();
    assert!(built_in.upstreams.are_offline() && is_offline(&built_in, "ghcr.io"));
}

#[test]
fn no_identity_of_an_offline_upstream_is_exposed() {
    let listener =
        "[[listener]]\naddress = \"0.0.0.0:5000\"\n[upstream.\"*.dkr.ecr.*.amazonaws.com\"]";
    assert_eq!(parse(listener).exposures().len(), 1);
    assert!(
        parse(&format!("{listener}\noffline = true"))
            .exposures()
            .is_empty()
    );
}

/// Opening a FIFO without a writer would hang.
#[test]
fn parsing_opens_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    for path in [fifo.to_str().unwrap(), "/nowhere/file"] {
        let text = format!(
            r#"
            [[listener]]
            address = "127.0.0.1:5000"
            tls = {{ cert = "{path}", key = "{path}" }}
            [upstream."docker.io"]
            auth = {{ username = "me", password_file = "{path}" }}
            ca_file = "{path}"
            client_cert_file = "{path}"
            client_key_file = "{path}"
            [upstream."ghcr.io"]
            auth = {{ username = "me", password_credential = "no-such" }}
            "#
        );
        let config = parse(&text);
        assert_eq!(
            config.listeners[0].tls.as_ref().unwrap().cert,
            Path::new(path)
        );
    }
}
