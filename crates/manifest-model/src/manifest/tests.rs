use super::*;
use crate::ManifestError;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn parse_as(body: &str, content_type: &str) -> Result<Manifest, ManifestError> {
    let content_type = content_type.parse().unwrap();
    Manifest::parse(
        Bytes::copy_from_slice(body.as_bytes()),
        Some(&content_type),
        Algorithm::Sha256,
    )
}

fn parse(body: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(
        Bytes::copy_from_slice(body.as_bytes()),
        None,
        Algorithm::Sha256,
    )
}

fn kind(body: &str, content_type: &str) -> MediaType {
    parse_as(body, content_type).unwrap().media_type().clone()
}

#[test]
fn the_bytes_are_kept_and_hashed_as_they_are() {
    let body = " {\"manifests\" :[ ]\n}\t";
    let manifest = parse(body).unwrap();
    assert_eq!(manifest.bytes(), body);
    assert_eq!(
        manifest.digest(),
        Digest::of(Algorithm::Sha256, body.as_bytes())
    );
    let long = Manifest::parse(manifest.bytes().clone(), None, Algorithm::Sha512).unwrap();
    assert_eq!(
        long.digest(),
        Digest::of(Algorithm::Sha512, body.as_bytes())
    );
}

#[test]
fn a_clone_shares_the_bytes() {
    let manifest = parse(r#"{"manifests":[]}"#).unwrap();
    assert_eq!(manifest.clone().bytes().as_ptr(), manifest.bytes().as_ptr());
    assert_eq!(manifest.clone(), manifest);
}

#[test]
fn the_bodys_own_media_type_wins() {
    let body = format!(
        r#"{{"mediaType":"{}","manifests":[]}}"#,
        MediaType::DockerList
    );
    assert_eq!(
        kind(&body, MediaType::OciIndex.as_str()),
        MediaType::DockerList
    );
    assert_eq!(kind(&body, "text/plain"), MediaType::DockerList);
}

#[test]
fn without_one_the_fields_decide_and_no_content_type() {
    let cases = [
        (r#"{"manifests":[]}"#, MediaType::OciIndex),
        (r#"{"layers":[]}"#, MediaType::OciManifest),
        (r#"{"mediaType":"","layers":[]}"#, MediaType::OciManifest),
        (
            r#"{"mediaType":"text/html","layers":[]}"#,
            MediaType::OciManifest,
        ),
        (r#"{"fsLayers":[]}"#, MediaType::DockerSchema1),
    ];
    let given = MediaType::MANIFESTS.map(|kind| kind.to_string());
    let given = given.iter().map(String::as_str);
    for content_type in given.chain([
        "application/json; charset=utf-8",
        "application/vnd.evil+json",
    ]) {
        for (body, expected) in &cases {
            assert_eq!(kind(body, content_type), *expected, "{body} {content_type}");
        }
    }
}

#[test]
fn a_content_type_may_only_say_that_a_body_is_a_manifest() {
    let shapeless = r#"{"schemaVersion":2}"#;
    for content_type in ["application/vnd.evil+json", MediaType::DockerList.as_str()] {
        assert_eq!(kind(shapeless, content_type), MediaType::OciManifest);
    }
    for content_type in ["application/json", "text/html", ""] {
        assert_eq!(
            parse_as(shapeless, content_type),
            Err(ManifestError::Unrecognised)
        );
    }
}

#[test]
fn without_either_the_fields_decide() {
    let guess = |body| parse(body).unwrap().media_type().clone();
    assert_eq!(guess(r#"{"manifests":null}"#), MediaType::OciIndex);
    assert_eq!(guess(r#"{"layers":[]}"#), MediaType::OciManifest);
    assert_eq!(guess(r#"{"schemaVersion":1}"#), MediaType::DockerSchema1);
    assert_eq!(
        guess(r#"{"fsLayers":[],"signatures":[{}]}"#),
        MediaType::DockerSchema1Signed
    );
    assert_eq!(
        guess(r#"{"blobs":[]}"#).as_str(),
        "application/vnd.oci.artifact.manifest.v1+json"
    );
    assert_eq!(
        parse(r#"{"schemaVersion":2}"#),
        Err(ManifestError::Unrecognised)
    );
}

#[test]
fn null_lists_are_empty() {
    let index = parse(r#"{"schemaVersion":2,"manifests":null}"#).unwrap();
    assert!(index.is_index() && index.entries().is_empty());
    let image =
        parse(r#"{"config":null,"layers":[],"subject":null,"manifests":null,"artifactType":null}"#)
            .unwrap();
    assert_eq!(image.media_type(), &MediaType::OciManifest);
    assert_eq!(
        (image.config(), image.subject(), image.artifact_type()),
        (None, None, None)
    );
    assert_eq!(image.links().count(), 0);
}

#[test]
fn links_are_everything_but_the_subject() {
    let body = format!(
        r#"{{"config":{{"digest":"{DIGEST}","size":1}},"layers":[{{"digest":"{DIGEST}","size":2}},
        {{"digest":"{DIGEST}","size":3}}],"subject":{{"digest":"{DIGEST}","size":4}},"artifactType":"a/b"}}"#
    );
    let manifest = parse(&body).unwrap();
    assert_eq!(
        manifest.links().map(|link| link.size).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(manifest.config().unwrap().size, 1);
    assert_eq!(manifest.layers().len(), 2);
    assert_eq!(manifest.subject().unwrap().size, 4);
    assert_eq!(manifest.artifact_type(), Some("a/b"));
    assert!(manifest.entries().is_empty());
}

#[test]
fn layers_of_schema_1_are_links() {
    let body = format!(
        r#"{{"schemaVersion":1,"fsLayers":[{{"blobSum":"{DIGEST}"}}],"layers":[],"manifests":[]}}"#
    );
    let manifest = parse(&body).unwrap();
    assert_eq!(
        manifest
            .links()
            .map(|link| link.digest.to_string())
            .collect::<Vec<_>>(),
        [DIGEST]
    );
    assert!(manifest.layers().is_empty() && !manifest.is_index());
}

#[test]
fn a_descriptor_that_cannot_be_read_is_left_out_and_counted() {
    let good = format!(r#"{{"digest":"{DIGEST}","size":1}}"#);
    let blake3 = format!(r#"{{"digest":"blake3:{}","size":1}}"#, "0".repeat(64));
    let negative = format!(r#"{{"digest":"{DIGEST}","size":-1}}"#);
    for bad in [&blake3, &negative, "{}", "[]", "null", "1"] {
        for field in ["manifests", "layers", "blobs"] {
            let manifest = parse(&format!(r#"{{"{field}":[{good},{bad}]}}"#)).unwrap();
            let sizes: Vec<_> = manifest.links().map(|link| link.size).collect();
            assert_eq!(
                (sizes, manifest.unreadable()),
                (vec![1], 1),
                "{field} {bad}"
            );
        }
    }
    for bad in [&blake3, &negative, "[]", "1"] {
        let manifest = parse(&format!(
            r#"{{"layers":[{good}],"config":{bad},"subject":{bad}}}"#
        ))
        .unwrap();
        assert_eq!(
            (manifest.config(), manifest.subject()),
            (None, None),
            "{bad}"
        );
        assert_eq!(
            (manifest.links().count(), manifest.unreadable()),
            (1, 1),
            "{bad}"
        );
    }
    let list = parse(r#"{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":{}}"#);
    assert_eq!(list.unwrap().unreadable(), 1);
}

#[test]
fn a_config_or_subject_without_a_digest_points_to_nothing() {
    for empty in [
        "{}",
        " { } ",
        r#"{"mediaType":"","digest":"","size":0}"#,
        "null",
    ] {
        let manifest = parse(&format!(
            r#"{{"layers":[],"config":{empty},"subject":{empty}}}"#
        ))
        .unwrap();
        assert_eq!(
            (manifest.config(), manifest.subject()),
            (None, None),
            "{empty}"
        );
        assert_eq!(manifest.unreadable(), 0, "{empty}");
    }
}

#[test]
fn a_type_of_a_wrong_type_is_no_type() {
    for field in ["mediaType", "artifactType"] {
        let manifest = parse(&format!(r#"{{"manifests":[],"{field}":1}}"#)).unwrap();
        assert_eq!(
            (manifest.media_type(), manifest.artifact_type()),
            (&MediaType::OciIndex, None)
        );
    }
}

/// An index of one entry for each architecture, and what a client of `amd64` gets from it.
fn chosen(body: &str) -> Result<Option<u64>, Ambiguity> {
    let manifest = parse(body).unwrap();
    let matcher = Matcher::new(&"linux/amd64".parse().unwrap());
    Ok(match manifest.choice(&matcher)? {
        Choice::Manifest(entry) => Some(entry.size),
        _ => None,
    })
}

fn entry(architecture: &str, size: u64, more: &str) -> String {
    format!(
        r#"{{"mediaType":"{}","digest":"{DIGEST}","size":{size},"platform":{{"os":"linux","architecture":"{architecture}"}}{more}}}"#,
        MediaType::OciManifest
    )
}

#[test]
fn nothing_is_chosen_by_what_is_both_index_and_image_and_its_bytes_are_kept() {
    let (amd64, layer) = (entry("amd64", 1, ""), format!(r#"{{"digest":"{DIGEST}"}}"#));
    for image in [
        r#""config":{}"#.into(),
        format!(r#""layers":[{layer}]"#),
        format!(r#""Layers":[{layer}]"#),
    ] {
        let body = format!(r#"{{"manifests":[{amd64}],{image}}}"#);
        assert_eq!(chosen(&body), Err(Ambiguity::Kind), "{body}");
        for content_type in [MediaType::OciIndex, MediaType::OciManifest] {
            let manifest = parse_as(&body, content_type.as_str()).unwrap();
            assert_eq!(manifest.bytes(), &body);
            assert_eq!(
                manifest.media_type(),
                &MediaType::OciIndex,
                "{content_type}"
            );
        }
    }
    // Its own type must fit its fields; what a server calls it does not count.
    for (kind, fields) in [
        (MediaType::OciIndex, r#""layers":[]"#),
        (MediaType::OciIndex, r#""manifests":[],"config":{}"#),
        (MediaType::DockerManifest, r#""manifests":[]"#),
    ] {
        let typed = parse(&format!(r#"{{"mediaType":"{kind}",{fields}}}"#)).unwrap();
        assert_eq!(typed.ambiguity(), Some(Ambiguity::Kind), "{fields}");
    }
    let image = MediaType::OciManifest;
    let body = format!(r#"{{"mediaType":"{image}","layers":[],"manifests":[{amd64}]}}"#);
    assert_eq!(parse(&body).unwrap().ambiguity(), Some(Ambiguity::Kind));
    assert_eq!(
        parse(r#"{"fsLayers":[],"layers":[],"manifests":[]}"#)
            .unwrap()
            .ambiguity(),
        None
    );
}

#[test]
fn a_repeated_key_counts_as_its_last_value() {
    let (one, two) = (entry("amd64", 1, ""), entry("amd64", 2, ""));
    assert_eq!(
        chosen(&format!(r#"{{"manifests":[{one}],"manifests":[{two}]}}"#)),
        Ok(Some(2))
    );
    let entry = entry("amd64", 1, r#","size":3"#);
    assert_eq!(
        chosen(&format!(r#"{{"manifests":[{entry}]}}"#)),
        Ok(Some(3))
    );
}

#[test]
fn keys_that_differ_in_case_are_refused_only_where_the_choice_depends_on_them() {
    let digest = |name: &str| Digest::of(Algorithm::Sha256, name.as_bytes()).to_string();
    let of = |name: &str, size| entry("amd64", size, "").replace(DIGEST, &digest(name));
    let (one, two, arm) = (of("1", 1), of("2", 2), entry("arm64", 3, ""));
    let spelling = Err(Ambiguity::Spelling);
    for (body, expected) in [
        (format!(r#"{{"Manifests":[{one}]}}"#), Ok(Some(1))),
        (
            format!(r#"{{"Manifests":[{two}],"manifests":[{one}]}}"#),
            Ok(Some(1)),
        ),
        (
            format!(r#"{{"manifests":[{one}],"Manifests":[{two}]}}"#),
            spelling,
        ),
        (
            format!(r#"{{"manifests":[{one}],"Manifests":[]}}"#),
            spelling,
        ),
        (
            format!(r#"{{"manifests":[{one},{arm}],"Manifests":[{one}]}}"#),
            Ok(Some(1)),
        ),
        (
            format!(
                r#"{{"manifests":[{}]}}"#,
                entry(
                    "amd64",
                    1,
                    r#","Platform":{"os":"linux","architecture":"arm64"}"#
                )
            ),
            spelling,
        ),
        (
            format!(
                r#"{{"manifests":[{one},{}]}}"#,
                entry("arm64", 3, r#","annotations":{},"Annotations":{"a":"b"}"#)
            ),
            Ok(Some(1)),
        ),
        (
            format!(
                r#"{{"manifests":[{one}],"mediaType":"{}","MediaType":"{}"}}"#,
                MediaType::OciIndex,
                MediaType::DockerList
            ),
            spelling,
        ),
    ] {
        assert_eq!(chosen(&body), expected, "{body}");
    }
}

#[test]
fn an_index_is_of_artifacts_if_it_says_so_or_lists_nothing_else() {
    let artifact = r#","artifactType":"application/vnd.example""#;
    let attested = r#","annotations":{"vnd.docker.reference.type":"attestation-manifest"}"#;
    let of_type = entry("amd64", 1, "").replace(
        MediaType::OciManifest.as_str(),
        "application/vnd.example+json",
    );
    for (entries, more, expected) in [
        (vec![entry("amd64", 1, "")], "", false),
        (vec![entry("amd64", 1, "")], artifact, true),
        (vec![entry("amd64", 1, artifact)], "", true),
        (vec![of_type, entry("arm64", 1, attested)], "", true),
        (
            vec![entry("amd64", 1, artifact), entry("arm64", 2, "")],
            "",
            false,
        ),
        (vec![entry("arm64", 1, attested)], "", false),
        (vec![], "", false),
    ] {
        let body = format!(r#"{{"manifests":[{}]{more}}}"#, entries.join(","));
        assert_eq!(
            parse(&body).unwrap().is_index_of_artifacts(),
            expected,
            "{body}"
        );
    }
    let image = format!(r#"{{"layers":[]{artifact}}}"#);
    assert!(!parse(&image).unwrap().is_index_of_artifacts());
}

#[test]
fn what_was_asked_for_by_digest_needs_no_recognisable_kind() {
    let json: MediaType = "application/json".parse().unwrap();
    let octets: MediaType = "application/octet-stream".parse().unwrap();
    let html: MediaType = "text/html".parse().unwrap();
    for (body, expected) in [
        ("{\"schemaVersion\":2}", &json),
        ("[]", &json),
        ("<html>", &octets),
        ("", &octets),
        ("\u{feff}{}", &octets),
    ] {
        for given in [Some(&json), Some(&html), None] {
            let bytes = Bytes::copy_from_slice(body.as_bytes());
            let manifest = Manifest::of_digest(bytes, given, Algorithm::Sha512).unwrap();
            let got = (manifest.bytes().as_ref(), manifest.media_type());
            assert_eq!(got, (body.as_bytes(), expected));
            let digest = Digest::of(Algorithm::Sha512, body.as_bytes());
            assert_eq!(manifest.digest(), digest);
            assert_eq!((manifest.links().count(), manifest.is_index()), (0, false));
        }
    }
    let body = Bytes::from_static(b"{\"manifests\":[]}");
    let known = Manifest::of_digest(body.clone(), None, Algorithm::Sha256).unwrap();
    assert_eq!(Ok(known), Manifest::parse(body, None, Algorithm::Sha256));
    let long = Bytes::from(vec![b' '; MAX_MANIFEST_BYTES + 1]);
    assert!(Manifest::of_digest(long, None, Algorithm::Sha256).is_err());
}

#[test]
fn anything_but_a_json_object_is_refused() {
    for body in ["", "{", "nul", "{} {}", "<html>", "\u{feff}{}"] {
        assert_eq!(parse(body), Err(ManifestError::NotJson), "{body}");
    }
    for body in ["[]", "null", "1", "\"x\"", "[2,null,null,[]]"] {
        assert_eq!(parse(body), Err(ManifestError::NotObject), "{body}");
    }
}

#[test]
fn a_byte_that_is_no_text_is_read_over() {
    let invalid = Bytes::from_static(b"{\"manifests\":[],\"a\":\"\xff\"}");
    let manifest = Manifest::parse(invalid.clone(), None, Algorithm::Sha256).unwrap();
    assert_eq!(manifest.bytes(), &invalid);
}

#[test]
fn a_body_may_have_4_mebibytes_and_no_more() {
    let mut body = r#"{"manifests":[]}"#.to_owned();
    body.push_str(&" ".repeat(MAX_MANIFEST_BYTES - body.len()));
    assert!(parse(&body).is_ok());
    body.push(' ');
    assert_eq!(
        parse(&body),
        Err(ManifestError::TooLarge {
            size: MAX_MANIFEST_BYTES + 1
        })
    );
}

#[test]
fn nesting_does_not_exhaust_the_stack() {
    let deep = format!(
        r#"{{"manifests":[],"x":{}1{}}}"#,
        "[".repeat(500_000),
        "]".repeat(500_000)
    );
    assert!(matches!(parse(&deep), Ok(_) | Err(ManifestError::NotJson)));
}
