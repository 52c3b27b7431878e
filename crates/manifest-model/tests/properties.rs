//! Laws for every input: printing undoes parsing, nothing panics, and the order of an index decides
//! only between equals.

use std::{
    collections::BTreeMap,
    fmt::{Debug, Display},
    str::FromStr,
};

use bytes::Bytes;
use manifest_model::{
    Algorithm, Choice, Descriptor, Digest, Hasher, ImageConfig, Manifest, Matcher, MediaType,
    Platform, Reference, RepoName, Tag, Verdict, choose, offered, user_agent, verdicts,
};
use proptest::prelude::*;

/// The text parses, and prints as it was written.
fn is_inverse<T>(text: &str) -> Result<(), TestCaseError>
where
    T: FromStr<Err: Debug> + Display + PartialEq + Debug,
{
    let value: T = text
        .parse()
        .map_err(|e| TestCaseError::fail(format!("{text}: {e:?}")))?;
    prop_assert_eq!(value.to_string(), text);
    Ok(())
}

/// A text that parses prints as it was written; no text panics.
fn is_inverse_if_parsed<T: FromStr + Display>(text: &str) -> Result<(), TestCaseError> {
    if let Ok(value) = text.parse::<T>() {
        prop_assert_eq!(value.to_string(), text);
    }
    Ok(())
}

fn algorithms() -> impl Strategy<Value = Algorithm> {
    prop_oneof![Just(Algorithm::Sha256), Just(Algorithm::Sha512)]
}

/// Text of the grammars' characters: much of it is valid, much of it nearly is.
const NEARLY: &str = "[a-z0-9A-Z_./:()@%ä -]{0,80}";

/// Platforms as an index or a client may spell them, similar enough to compete.
fn platforms() -> impl Strategy<Value = Platform> {
    let os = prop::sample::select(vec![
        "", "linux", "Linux", "windows", "macos", "darwin", "unknown",
    ]);
    let architecture = prop::sample::select(vec![
        "", "amd64", "x86_64", "386", "i386", "arm", "armhf", "armel", "arm64", "aarch64",
        "riscv64", "unknown",
    ]);
    let variant = prop::sample::select(vec![
        "", "v1", "v2", "v3", "5", "v5", "6", "v6", "7", "v7", "8", "v8", "v8.0", "v8.1", "v8.6",
        "v9", "9.0", "v9.1", "v10", "x",
    ]);
    let version = prop::sample::select(vec![
        "",
        "10.0.17763.1",
        "10.0.20348",
        "10.0.20348.99",
        "10.0.26100.1",
        "10",
    ]);
    let feature = prop::sample::select(vec!["win32k", "erofs", "x", "feat+v2", "a/(b) \u{e9}%"]);
    (
        os,
        architecture,
        variant,
        version,
        prop::collection::vec(feature, 0..3),
    )
        .prop_map(
            |(os, architecture, variant, os_version, features)| Platform {
                os: os.into(),
                architecture: architecture.into(),
                variant: variant.into(),
                os_version: os_version.into(),
                os_features: features.into_iter().map(Into::into).collect(),
            },
        )
}

/// An index whose entries differ in their digests.
fn indexes() -> impl Strategy<Value = Vec<Descriptor>> {
    let media_type = prop::sample::select(vec![
        MediaType::OciManifest,
        MediaType::DockerManifest,
        MediaType::OciIndex,
        MediaType::Other("application/x".into()),
    ]);
    let entry = (media_type, prop::option::weighted(0.8, platforms()));
    prop::collection::vec(entry, 0..12).prop_map(|entries| {
        let entry = |(number, (media_type, platform)): (u64, _)| Descriptor {
            media_type,
            digest: Digest::of(Algorithm::Sha256, &number.to_be_bytes()),
            size: number,
            platform,
            annotations: BTreeMap::new(),
            artifact_type: Box::default(),
            has_urls: false,
        };
        (0..).zip(entries).map(entry).collect()
    })
}

fn chosen<'a>(choice: &Choice<'a>) -> Option<&'a Descriptor> {
    match *choice {
        Choice::Manifest(entry) | Choice::Unverified(entry) | Choice::Index(entry) => Some(entry),
        Choice::None => None,
    }
}

/// The choice spelled out: drop, sort stably, take the first.
fn sorted<'a>(entries: &'a [Descriptor], matcher: &Matcher) -> Option<&'a Descriptor> {
    let fits = |entry: &&Descriptor| {
        entry
            .platform
            .as_ref()
            .is_none_or(|platform| matcher.matches(platform))
    };
    let mut fitting: Vec<_> = entries.iter().filter(fits).collect();
    fitting.sort_by(|a, b| match (&a.platform, &b.platform) {
        (Some(a), Some(b)) => matcher.compare(a, b),
        (a, b) => a.is_none().cmp(&b.is_none()),
    });
    fitting
        .first()
        .copied()
        .filter(|entry| entry.media_type.is_index() || entry.media_type.is_image())
}

proptest! {
    #[test]
    fn digests_print_as_they_were_written(algorithm in algorithms(), content in any::<Vec<u8>>()) {
        let digest = Digest::of(algorithm, &content);
        is_inverse::<Digest>(&digest.to_string())?;
        is_inverse::<Reference>(&digest.to_string())?;
        prop_assert_eq!(Digest::from_parts(algorithm, digest.as_bytes()).ok(), Some(digest));
    }

    #[test]
    fn names_tags_and_references_print_as_they_were_written(
        name in "[a-z0-9]{1,9}((\\.|_|__|-{1,3})[a-z0-9]{1,9}){0,2}(/[a-z0-9]{1,9}((\\.|_|__|-{1,3})[a-z0-9]{1,9}){0,2}){0,3}",
        tag in "[A-Za-z0-9_][A-Za-z0-9._-]{0,299}",
    ) {
        is_inverse::<RepoName>(&name)?;
        is_inverse::<Tag>(&tag)?;
        is_inverse::<Reference>(&tag)?;
    }

    #[test]
    fn a_text_that_parses_prints_as_it_was_written(text in prop_oneof![any::<String>(), NEARLY]) {
        is_inverse_if_parsed::<Algorithm>(&text)?;
        is_inverse_if_parsed::<Digest>(&text)?;
        is_inverse_if_parsed::<RepoName>(&text)?;
        is_inverse_if_parsed::<Tag>(&text)?;
        is_inverse_if_parsed::<Reference>(&text)?;
    }

    #[test]
    fn media_types_and_platforms_settle_after_one_round(text in prop_oneof![any::<String>(), NEARLY]) {
        let Ok(kind) = text.parse::<MediaType>();
        is_inverse::<MediaType>(kind.as_str())?;
        for platform in [text.parse(), Platform::from_path_form(&text)].into_iter().flatten() {
            is_inverse::<Platform>(&platform.to_string())?;
            prop_assert_eq!(platform.normalized(), platform);
        }
    }

    #[test]
    fn a_normalised_platform_survives_being_written_down(platform in platforms()) {
        let normal = platform.normalized();
        prop_assert_eq!(normal.normalized(), normal.clone());
        prop_assert_eq!(normal.to_string(), platform.to_string());
        if !normal.architecture.is_empty() {
            prop_assert_eq!(normal.to_string().parse::<Platform>().ok(), Some(normal));
        }
    }

    #[test]
    fn an_error_holds_at_most_80_printable_characters(text in any::<String>()) {
        if let Err(error) = text.parse::<Digest>() {
            prop_assert!(error.input().chars().count() <= 80);
            prop_assert!(!error.input().chars().any(char::is_control));
        }
    }

    #[test]
    fn chunks_hash_like_the_whole(algorithm in algorithms(), chunks in prop::collection::vec(any::<Vec<u8>>(), 0..8)) {
        let mut hasher = Hasher::new(algorithm);
        for chunk in &chunks {
            hasher.update(chunk);
        }
        prop_assert_eq!(hasher.finish(), Digest::of(algorithm, &chunks.concat()));
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in any::<Vec<u8>>()) {
        let _ = Manifest::parse(Bytes::from(bytes.clone()), None, Algorithm::Sha256);
        let named = Manifest::of_digest(Bytes::from(bytes.clone()), None, Algorithm::Sha256);
        prop_assert_eq!(named.map(|manifest| manifest.digest()), Ok(Digest::of(Algorithm::Sha256, &bytes)));
        let _ = ImageConfig::parse(&bytes);
        let _ = user_agent::platform(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_json_makes_the_reader_panic(
        field in prop::sample::select(vec!["mediaType", "manifests", "config", "layers", "fsLayers", "blobs", "subject"]),
        value in prop::sample::select(vec!["null", "1", "\"x\"", "[]", "{}", "[null]", "[[]]", "[{}]", "[{\"digest\":1}]"]),
        index in any::<bool>(),
    ) {
        let kind = if index { MediaType::OciIndex } else { MediaType::OciManifest };
        let body = Bytes::from(format!("{{\"{field}\":{value}}}"));
        if let Ok(manifest) = Manifest::parse(body.clone(), Some(&kind), Algorithm::Sha256) {
            prop_assert_eq!(manifest.bytes(), &body);
            prop_assert_eq!(manifest.links().count(), 0);
        }
    }

    #[test]
    fn keys_in_other_cases_change_no_choice_unless_it_is_refused(
        keys in prop::collection::vec(prop::sample::select(vec!["manifests", "Manifests", "MANIFESTS", "layers", "Layers", "config"]), 0..4),
        sizes in prop::collection::vec(prop::collection::vec(1..4_u8, 0..3), 4),
    ) {
        let entry = |size: &u8| format!(
            r#"{{"mediaType":"{}","digest":"{}","size":{size},"platform":{{"os":"linux","architecture":"amd64"}}}}"#,
            MediaType::OciManifest, Digest::of(Algorithm::Sha256, &[*size]),
        );
        let list = |(key, sizes): (&&str, &Vec<u8>)| format!(r#""{key}":[{}]"#, sizes.iter().map(entry).collect::<Vec<_>>().join(","));
        let body = format!("{{{}}}", keys.iter().zip(&sizes).map(list).collect::<Vec<_>>().join(","));
        let Ok(manifest) = Manifest::parse(body.clone().into(), Some(&MediaType::OciIndex), Algorithm::Sha256) else {
            return Err(TestCaseError::fail(body));
        };
        let matcher = Matcher::new(&"linux/amd64".parse().unwrap());
        if let Ok(choice) = manifest.choice(&matcher) {
            // The first entry of the last list of any spelling, and of the exact one.
            let first = |counts: fn(&str) -> bool| {
                let last = keys.iter().zip(&sizes).rfind(|(key, _)| counts(key))?;
                last.1.first().copied()
            };
            let lists = |key: &str| key.eq_ignore_ascii_case("manifests");
            let exact = keys.contains(&"manifests");
            let expected = first(lists);
            prop_assert_eq!(chosen(&choice).map(|entry| entry.size), expected.map(u64::from));
            if exact {
                prop_assert_eq!(first(|key| key == "manifests"), expected);
            }
        }
    }

    #[test]
    fn the_choice_is_the_first_of_a_stable_sort(entries in indexes(), wanted in platforms()) {
        for matcher in [Matcher::new(&wanted), Matcher::only(&wanted), Matcher::strict(&wanted)] {
            prop_assert_eq!(chosen(&choose(&entries, &matcher)), sorted(&entries, &matcher));
        }
    }

    #[test]
    fn the_order_of_an_index_decides_only_between_equals(
        (entries, shuffled) in indexes().prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle())),
        wanted in platforms(),
    ) {
        let matcher = Matcher::new(&wanted);
        let rank = |entries: &[Descriptor]| chosen(&choose(entries, &matcher)).map(|entry| entry.platform.clone());
        // An entry that is neither image nor index ends the choice, so only the others are
        // compared.
        let can_be = |entry: &&Descriptor| entry.media_type.is_index() || entry.media_type.is_image();
        let one: Vec<Descriptor> = entries.iter().filter(can_be).cloned().collect();
        let two: Vec<Descriptor> = shuffled.iter().filter(can_be).cloned().collect();
        match (rank(&one), rank(&two)) {
            (Some(Some(a)), Some(Some(b))) => prop_assert!(matcher.compare(&a, &b).is_eq(), "{a:?} {b:?}"),
            (a, b) => prop_assert_eq!(a, b),
        }
    }

    #[test]
    fn the_choice_matches(entries in indexes(), wanted in platforms()) {
        let matcher = Matcher::new(&wanted);
        match choose(&entries, &matcher) {
            Choice::Manifest(entry) => {
                let platform = entry.platform.as_ref();
                prop_assert!(platform.is_some_and(|platform| matcher.matches(platform)));
                prop_assert!(platform.is_some_and(|platform| offered(&entries).contains(&platform.normalized())));
            }
            Choice::Unverified(entry) => prop_assert!(entry.platform.is_none() && entry.media_type.is_image()),
            Choice::Index(entry) => prop_assert!(entry.media_type.is_index()),
            Choice::None => {}
        }
    }

    #[test]
    fn the_verdicts_name_the_choice_and_no_other(entries in indexes(), wanted in platforms()) {
        let matcher = Matcher::new(&wanted);
        let judged: Vec<_> = verdicts(&entries, &matcher).collect();
        prop_assert_eq!(judged.len(), entries.len());
        let named: Vec<_> = judged.iter().filter(|(_, verdict)| *verdict == Verdict::Chosen).map(|(entry, _)| *entry).collect();
        prop_assert_eq!(named, chosen(&choose(&entries, &matcher)).into_iter().collect::<Vec<_>>());
        for (entry, verdict) in judged {
            let matches = entry.platform.as_ref().is_none_or(|platform| matcher.matches(platform));
            prop_assert_eq!(verdict == Verdict::OtherPlatform, !matches);
        }
    }

    #[test]
    fn a_platform_matches_itself(wanted in platforms()) {
        prop_assume!(!wanted.is_unknown());
        prop_assert!(Matcher::strict(&wanted).matches(&wanted.normalized()));
    }
}
