use super::*;
use crate::{DescriptorError, ManifestError};

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
fn without_one_the_content_type_counts_if_it_names_a_format() {
    assert_eq!(
        kind(r#"{"manifests":[]}"#, MediaType::DockerList.as_str()),
        MediaType::DockerList
    );
    assert_eq!(
        kind(
            r#"{"mediaType":"","layers":[]}"#,
            MediaType::DockerManifest.as_str()
        ),
        MediaType::DockerManifest
    );
    assert_eq!(
        kind(r#"{"manifests":[]}"#, "application/json; charset=utf-8"),
        MediaType::OciIndex
    );
}

#[test]
fn a_content_type_that_contradicts_the_fields_is_ignored() {
    let (evil, schema1) = (
        "application/vnd.evil+json",
        MediaType::DockerSchema1.as_str(),
    );
    for given in [evil, schema1] {
        assert_eq!(kind(r#"{"manifests":[]}"#, given), MediaType::OciIndex);
        assert_eq!(kind(r#"{"layers":[]}"#, given), MediaType::OciManifest);
    }
    assert_eq!(kind(r#"{"schemaVersion":2}"#, evil).as_str(), evil);
    let signed = MediaType::DockerSchema1Signed;
    assert_eq!(kind(r#"{"fsLayers":[]}"#, signed.as_str()), signed);
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
fn a_malformed_descriptor_is_an_error_that_names_its_place() {
    let lists = ["manifests", "layers", "blobs"];
    for field in lists {
        let body =
            format!(r#"{{"{field}":[{{"digest":"{DIGEST}"}},{{"digest":"{DIGEST}","size":-1}}]}}"#);
        let source = DescriptorError::Field { field: "size" };
        assert_eq!(
            parse(&body),
            Err(ManifestError::Entry {
                field,
                index: 1,
                source
            })
        );
    }
    for field in ["config", "subject"] {
        let body = format!(r#"{{"manifests":[],"{field}":[]}}"#).replace("manifests", "blobs");
        assert_eq!(
            parse(&body),
            Err(ManifestError::Descriptor {
                field,
                source: DescriptorError::Malformed
            })
        );
    }
}

#[test]
fn a_field_of_a_wrong_type_is_an_error_that_names_it() {
    let cases = [
        ("mediaType", "1"),
        ("manifests", "{}"),
        ("manifests", "\"x\""),
        ("artifactType", "[]"),
    ];
    for (field, value) in cases {
        let body = format!(r#"{{"blobs":[],"{field}":{value}}}"#);
        assert_eq!(parse(&body), Err(ManifestError::Field { field }), "{body}");
    }
}

#[test]
fn an_ambiguous_body_is_refused() {
    let both = format!(r#"{{"manifests":[],"layers":[{{"digest":"{DIGEST}"}}]}}"#);
    for content_type in [MediaType::OciIndex, MediaType::OciManifest] {
        assert_eq!(
            parse_as(&both, content_type.as_str()),
            Err(ManifestError::Ambiguous)
        );
    }
    assert_eq!(parse(&both), Err(ManifestError::Ambiguous));
    let index = MediaType::OciIndex.as_str();
    let image = MediaType::DockerManifest.as_str();
    assert_eq!(
        parse_as(r#"{"layers":[]}"#, index),
        Err(ManifestError::Ambiguous)
    );
    assert_eq!(
        parse_as(r#"{"manifests":[],"config":{}}"#, index),
        Err(ManifestError::Ambiguous)
    );
    assert_eq!(
        parse_as(r#"{"manifests":[]}"#, image),
        Err(ManifestError::Ambiguous)
    );
    assert_eq!(
        parse(r#"{"manifests":[],"manifests":[]}"#),
        Err(ManifestError::NotObject)
    );
}

#[test]
fn anything_but_a_json_object_is_refused() {
    for body in ["", "{", "nul", "{} {}", "<html>", "\u{feff}{}"] {
        assert_eq!(parse(body), Err(ManifestError::NotJson), "{body}");
    }
    for body in ["[]", "null", "1", "\"x\"", "[2,null,null,[]]"] {
        assert_eq!(parse(body), Err(ManifestError::NotObject), "{body}");
    }
    let invalid = Bytes::from_static(b"{\"manifests\":[],\"a\":\"\xff\"}");
    assert_eq!(
        Manifest::parse(invalid, None, Algorithm::Sha256),
        Err(ManifestError::NotJson)
    );
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
