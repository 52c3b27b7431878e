use proptest::prelude::*;

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Parses a path on a listener that takes hints in paths.
fn parse(path: &str, namespace: Option<&Host>) -> Result<Address, PathError> {
    super::parse(path, namespace, PlatformPaths::Hints)
}

fn named(path: &str) -> (Option<String>, Option<String>, Target) {
    let address = parse(path, None).unwrap();
    (
        address.platform,
        address.host.map(|host| host.to_string()),
        address.target,
    )
}

fn manifest(name: &str, reference: &str) -> Target {
    Target::Manifest(name.parse().unwrap(), reference.parse().unwrap())
}

#[test]
fn the_plain_form_names_neither_upstream_nor_platform() {
    assert_eq!(named("/v2/"), (None, None, Target::Ping));
    assert_eq!(named("/v2"), (None, None, Target::Ping));
    assert_eq!(
        named("/v2/library/hello/manifests/latest"),
        (None, None, manifest("library/hello", "latest"))
    );
    let blob = Target::Blob("a/b/c".parse().unwrap(), DIGEST.parse().unwrap());
    assert_eq!(
        named(&format!("/v2/a/b/c/blobs/{DIGEST}")),
        (None, None, blob)
    );
    assert_eq!(
        named("/v2/a/tags/list"),
        (None, None, Target::Tags("a".parse().unwrap()))
    );
}

#[test]
fn an_upstream_may_stand_before_or_after_the_version() {
    for path in [
        "/quay.io/v2/org/app/manifests/1",
        "/v2/quay.io/org/app/manifests/1",
    ] {
        assert_eq!(
            named(path),
            (None, Some("quay.io".into()), manifest("org/app", "1")),
            "{path}"
        );
    }
    assert_eq!(
        named("/v2/127.0.0.1:5000/app/manifests/1").1.as_deref(),
        Some("127.0.0.1:5000")
    );
    assert_eq!(named("/quay.io/v2/").2, Target::Ping);
    assert_eq!(
        named("/v2/quay.io/"),
        (None, Some("quay.io".into()), Target::Ping)
    );
}

#[test]
fn a_platform_combines_with_every_form() {
    for path in [
        "/platform/linux-arm64/quay.io/v2/app/manifests/1",
        "/v2/platform/linux-arm64/quay.io/app/manifests/1",
        "/platform/linux-arm64/v2/quay.io/app/manifests/1",
    ] {
        let expected = (
            Some("linux-arm64".into()),
            Some("quay.io".into()),
            manifest("app", "1"),
        );
        assert_eq!(named(path), expected, "{path}");
    }
    assert_eq!(
        named("/platform/linux-arm64/v2/").0.as_deref(),
        Some("linux-arm64")
    );
    for path in ["/v2/platform/linux-arm64/", "/v2/platform/linux-arm64"] {
        assert_eq!(
            named(path),
            (Some("linux-arm64".into()), None, Target::Ping)
        );
    }
    let docker = "docker.io".parse().unwrap();
    let path = "/v2/platform/all/registry-1.docker.io/library/app/manifests/1";
    let repeated = parse(path, Some(&docker)).unwrap();
    assert_eq!(repeated.platform.as_deref(), Some("all"));
    assert_eq!(repeated.target, manifest("library/app", "1"));
}

#[test]
fn a_repository_may_be_called_platform() {
    for name in [
        "platform",
        "platform/arm64",
        "platform/go-api",
        "platform/linux/web",
        "platform/android-app/web",
    ] {
        let path = format!("/v2/{name}/manifests/1");
        assert_eq!(named(&path), (None, None, manifest(name, "1")));
        let tags = Target::Tags(name.parse().unwrap());
        assert_eq!(named(&format!("/v2/{name}/tags/list")).2, tags);
    }
}

#[test]
fn a_repository_called_like_a_hint_is_reached_by_its_upstreams_name() {
    let (name, path) = ("platform/arm64/web", "/v2/platform/arm64/web/manifests/1");
    assert_eq!(
        named(path).0.as_deref(),
        Some("arm64"),
        "it could be either"
    );
    let by_query = parse(path, Some(&"quay.io".parse().unwrap())).unwrap();
    assert_eq!(
        (by_query.platform, by_query.target),
        (None, manifest(name, "1"))
    );
    for path in [
        "/quay.io/v2/platform/arm64/web/manifests/1",
        "/v2/quay.io/platform/arm64/web/manifests/1",
    ] {
        let expected = (None, Some("quay.io".into()), manifest(name, "1"));
        assert_eq!(named(path), expected, "{path}");
    }
    assert_eq!(
        named("/platform/all/v2/platform/arm64/web/manifests/1"),
        (Some("all".into()), None, manifest(name, "1"))
    );
}

#[test]
fn beside_a_namespace_only_a_full_platform_and_all_are_hints() {
    let quay: Host = "quay.io".parse().unwrap();
    for platform in [
        "all",
        "linux-arm64",
        "linux-arm-v7",
        "linux-x86-64-v3",
        "macOS-arm64",
        "linux(+erofs)-amd64",
        "windows(10.0.20348+win32k)-amd64",
    ] {
        let path = format!("/v2/platform/{platform}/team/web/manifests/1");
        let hint = parse(&path, Some(&quay)).unwrap();
        let expected = (Some(platform.to_owned()), None, manifest("team/web", "1"));
        assert_eq!((hint.platform, hint.host, hint.target), expected);
    }
    for name in [
        "platform/arm64/web",
        "platform/x86-64/web",
        "platform/go-arm64/web",
        "platform/linux-api/web",
        "platform/linux-arm64-tools/web",
        "platform/linux-arm64",
    ] {
        let path = format!("/v2/{name}/manifests/1");
        let repository = parse(&path, Some(&quay)).unwrap();
        let expected = (None, manifest(name, "1"));
        assert_eq!((repository.platform, repository.target), expected);
    }
    let path = "/v2/platform/arm64/quay.io/web/manifests/1";
    let repeated = parse(path, Some(&quay)).unwrap();
    assert_eq!(repeated.platform.as_deref(), Some("arm64"));
    for path in [
        "/quay.io/v2/platform/linux-arm64/web/manifests/1",
        "/v2/quay.io/platform/linux-arm64/web/manifests/1",
    ] {
        for namespace in [None, Some(&quay)] {
            let address = parse(path, namespace).unwrap();
            let expected = (None, manifest("platform/linux-arm64/web", "1"));
            assert_eq!((address.platform, address.target), expected, "{path}");
        }
    }
}

#[test]
fn without_platform_paths_the_word_is_one_of_a_name() {
    let named = |path: &str| super::parse(path, None, PlatformPaths::Names);
    for name in ["platform/linux-arm64/web", "platform/all/web"] {
        let address = named(&format!("/v2/{name}/manifests/1")).unwrap();
        assert_eq!(
            (address.platform, address.target),
            (None, manifest(name, "1"))
        );
    }
    let before = named("/platform/linux-arm64/v2/web/manifests/1");
    assert_eq!(before, Err(PathError::Unknown));
}

#[test]
fn a_repository_may_be_called_like_an_endpoint() {
    assert_eq!(
        named("/v2/a/manifests/b/manifests/c").2,
        manifest("a/manifests/b", "c")
    );
    assert_eq!(
        named("/v2/tags/list/manifests/c").2,
        manifest("tags/list", "c")
    );
}

#[test]
fn an_upload_is_what_ends_like_one() {
    for path in ["blobs/uploads", "blobs/uploads/", "blobs/uploads/1f-0"] {
        let uploads = Target::Uploads("a".parse().unwrap());
        assert_eq!(named(&format!("/v2/a/{path}")).2, uploads, "{path}");
    }
    for name in ["a/blobs/uploads", "a/blobs/uploads-api", "blobs/uploads/x"] {
        let path = format!("/v2/{name}/manifests/1");
        assert_eq!(named(&path).2, manifest(name, "1"));
    }
    assert_eq!(parse("/v2/a/uploads/1", None), Err(PathError::Unknown));
}

#[test]
fn a_namespace_that_the_path_repeats_is_no_part_of_the_name() {
    let docker = "docker.io".parse().unwrap();
    let repeated = parse("/v2/docker.io/library/hello/manifests/1", Some(&docker)).unwrap();
    assert_eq!(repeated.target, manifest("library/hello", "1"));
    let other = parse("/v2/mirror.gcr.io/hello/manifests/1", Some(&docker)).unwrap();
    assert_eq!(
        (other.host, other.target),
        (None, manifest("mirror.gcr.io/hello", "1"))
    );
}

#[test]
fn what_is_wrong_is_told_apart() {
    assert_eq!(parse("/", None), Err(PathError::Unknown));
    assert_eq!(parse("/v1/x", None), Err(PathError::Unknown));
    assert_eq!(parse("/v2/x", None), Err(PathError::Unknown));
    assert_eq!(parse("/v2/_catalog", None), Err(PathError::Unknown));
    assert_eq!(
        parse("/platform/v2/x/manifests/1", None),
        Err(PathError::Platform)
    );
    assert!(matches!(
        parse("/v2/UPPER/manifests/1", None),
        Err(PathError::Name(_))
    ));
    assert!(matches!(
        parse("/v2/x/manifests/sha256:bad", None),
        Err(PathError::Reference(_))
    ));
    assert!(matches!(
        parse("/v2/x/blobs/latest", None),
        Err(PathError::Digest(_))
    ));
    assert!(matches!(
        parse("/v2/../../etc/manifests/1", None),
        Err(PathError::Host(_) | PathError::Name(_))
    ));
}

proptest! {
    #[test]
    fn no_path_panics(path in "\\PC{0,80}") {
        let _ = parse(&path, None);
    }

    #[test]
    fn a_path_with_an_upstream_before_the_version_names_no_platform(name in "[a-z]{1,4}(/[a-z0-9-]{1,9}){0,3}") {
        let repository = format!("platform/{name}");
        if let Ok(repository) = repository.parse::<RepoName>() {
            let address = parse(&format!("/quay.io/v2/{repository}/manifests/1"), None).unwrap();
            prop_assert_eq!((address.platform, address.target), (None, manifest(repository.as_str(), "1")));
        }
    }

    #[test]
    fn no_registry_like_path_panics(path in "(/|v2|platform|manifests|blobs|tags/list|quay\\.io|a|:|\\.|sha256:){0,12}") {
        let _ = parse(&path, None);
    }
}
