use proptest::prelude::*;

use super::*;

fn digest(text: &str) -> Digest {
    Digest::of(Algorithm::Sha256, text.as_bytes())
}

fn image(name: &str, platform: &str) -> Descriptor {
    Descriptor {
        media_type: MediaType::OciManifest,
        digest: digest(name),
        size: 7,
        platform: Some(platform.parse().unwrap()),
        annotations: BTreeMap::new(),
        artifact_type: Box::default(),
        has_urls: false,
    }
}

fn attestation(name: &str, about: &str) -> Descriptor {
    let unknown = Platform {
        os: "unknown".into(),
        architecture: "unknown".into(),
        ..Platform::default()
    };
    Descriptor {
        platform: Some(unknown),
        annotations: BTreeMap::from([
            (
                "vnd.docker.reference.type".into(),
                "attestation-manifest".into(),
            ),
            (
                "vnd.docker.reference.digest".into(),
                digest(about).to_string(),
            ),
        ]),
        ..image(name, "linux/amd64")
    }
}

fn source(name: &str, entries: &[Descriptor]) -> Source {
    Source {
        name: name.into(),
        root: digest(name),
        entries: entries.to_vec(),
    }
}

#[test]
fn the_bytes_are_fixed() {
    let made = synthesize(&[
        source("hello:arm64", &[image("b", "linux/arm64/v8")]),
        source("hello:amd64", &[image("a", "linux/amd64")]),
    ])
    .unwrap();
    let (a, b) = (digest("a"), digest("b"));
    let (from_a, from_b) = (digest("hello:amd64"), digest("hello:arm64"));
    let expected = format!(
        concat!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":["#,
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{a}","size":7,"#,
            r#""platform":{{"os":"linux","architecture":"amd64"}}}},"#,
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{b}","size":7,"#,
            r#""platform":{{"os":"linux","architecture":"arm64"}}}}],"#,
            r#""annotations":{{"io.archway.sources":"hello:amd64@{from_a},hello:arm64@{from_b}","#,
            r#""io.archway.synthetic":"true"}}}}"#
        ),
        a = a,
        b = b,
        from_a = from_a,
        from_b = from_b
    );
    assert_eq!(std::str::from_utf8(made.bytes()).unwrap(), expected);
}

#[test]
fn only_a_synthesized_index_names_its_sources() {
    let made = synthesize(&[source("x:1", &[image("a", "linux/amd64")])]).unwrap();
    let said = format!("x:1@{}", digest("x:1"));
    assert_eq!(synthesized_from(&made), Some(vec![said]));
    for body in [
        r#"{"manifests":[]}"#,
        r#"{"manifests":[],"annotations":null}"#,
        r#"{"manifests":[],"annotations":{"io.archway.sources":"x"}}"#,
        r#"{"layers":[],"annotations":{"io.archway.sources":"x","io.archway.synthetic":"true"}}"#,
    ] {
        let pushed = Manifest::parse(body.into(), None, Algorithm::Sha256).unwrap();
        assert_eq!(synthesized_from(&pushed), None, "{body}");
    }
}

#[test]
fn two_images_for_one_platform_are_refused_and_both_are_named() {
    let error = synthesize(&[
        source("hello:amd64", &[image("a", "linux/amd64")]),
        source("hello:x86", &[image("b", "linux/x86_64")]),
    ])
    .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("two images for linux/amd64"), "{text}");
    assert!(
        text.contains("hello:amd64@") && text.contains("hello:x86@"),
        "{text}"
    );
}

#[test]
fn the_same_image_from_two_sources_counts_once() {
    let same = image("a", "linux/amd64");
    let made = synthesize(&[
        source("x:1", std::slice::from_ref(&same)),
        source("x:2", &[same]),
    ]);
    assert_eq!(made.unwrap().entries().len(), 1);
}

#[test]
fn builds_of_windows_are_platforms_of_their_own() {
    let old = image("a", "windows(10.0.17763.1)/amd64");
    let new = image("b", "windows(10.0.20348.1)/amd64");
    assert_eq!(
        synthesize(&[source("w:1", &[old, new])])
            .unwrap()
            .entries()
            .len(),
        2
    );
}

#[test]
fn attestations_are_kept_and_come_last() {
    let entries = [
        attestation("0", "a"),
        image("a", "linux/arm64"),
        image("b", "linux/amd64"),
    ];
    let made = synthesize(&[source("x:1", &entries)]).unwrap();
    let kept: Vec<_> = made
        .entries()
        .iter()
        .map(Descriptor::is_attestation)
        .collect();
    assert_eq!(kept, [false, false, true]);
    let about = &made.entries()[2].annotations["vnd.docker.reference.digest"];
    assert_eq!(*about, digest("a").to_string());
}

#[test]
fn nothing_to_run_makes_no_index() {
    assert_eq!(synthesize(&[]).unwrap_err(), SynthesisError::Empty);
    let only = source("x:1", &[attestation("0", "a")]);
    assert_eq!(synthesize(&[only]).unwrap_err(), SynthesisError::Empty);
}

#[test]
fn an_image_without_a_platform_is_refused() {
    let nameless = Descriptor {
        platform: None,
        ..image("a", "linux/amd64")
    };
    let error = synthesize(&[source("x:1", &[nameless])]).unwrap_err();
    assert_eq!(error, SynthesisError::NoPlatform(digest("a")));
}

/// Sources with images, some of them twice, and with attestations.
fn sources() -> impl Strategy<Value = Vec<Source>> {
    let platform = prop::sample::select(vec![
        "linux/amd64",
        "linux/x86_64",
        "linux/arm64/v8",
        "linux/arm64",
        "linux/arm/v7",
        "linux/s390x",
        "windows(10.0.20348.1)/amd64",
    ]);
    let entry = (0..12_u8, platform, any::<bool>()).prop_map(|(name, platform, is_attestation)| {
        if is_attestation {
            attestation(&format!("attestation {name}"), "image")
        } else {
            // One image for each platform, so that most of the sources can be merged.
            image(&platform.parse::<Platform>().unwrap().to_string(), platform)
        }
    });
    let source = (
        "[a-z]{1,4}:[a-z0-9]{1,4}",
        prop::collection::vec(entry, 0..5),
    )
        .prop_map(|(name, entries)| source(&name, &entries));
    prop::collection::vec(source, 0..5)
}

proptest! {
    #[test]
    fn the_order_of_sources_and_entries_changes_no_byte(
        (one, mut other) in sources().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle()))
    ) {
        for source in &mut other {
            source.entries.reverse();
        }
        let (one, other) = (synthesize(&one), synthesize(&other));
        prop_assert_eq!(
            one.as_ref().map(Manifest::bytes),
            other.as_ref().map(Manifest::bytes)
        );
    }

    #[test]
    fn a_synthesized_index_reads_back_as_its_sources(all in sources()) {
        prop_assume!(all.iter().flat_map(|source| &source.entries).any(|entry| !is_companion(entry)));
        let made = synthesize(&all).unwrap();
        let again = Manifest::parse(made.bytes().clone(), None, Algorithm::Sha256).unwrap();
        prop_assert_eq!(&again, &made);
        prop_assert!(again.is_index());
        for entry in all.iter().flat_map(|source| &source.entries) {
            let listed = again.entries().iter().find(|listed| listed.digest == entry.digest).unwrap();
            prop_assert_eq!(listed.size, entry.size);
            prop_assert_eq!(&listed.media_type, &entry.media_type);
            prop_assert_eq!(&listed.annotations, &entry.annotations);
            prop_assert_eq!(
                listed.platform.as_ref().map(ToString::to_string),
                entry.platform.as_ref().map(ToString::to_string)
            );
        }
    }

    #[test]
    fn no_two_images_of_a_synthesized_index_are_for_one_platform(all in sources()) {
        let Ok(made) = synthesize(&all) else { return Ok(()) };
        let mut platforms: Vec<_> = made.entries().iter().filter(|entry| !is_companion(entry)).map(|entry| entry.platform.clone()).collect();
        let all = platforms.len();
        platforms.dedup();
        prop_assert_eq!(platforms.len(), all);
    }
}
