//! Descriptors: the pointers from one piece of content to another.

use std::collections::BTreeMap;

use crate::{
    Digest, MediaType, Platform,
    error::DescriptorError,
    json::{self, Reader, Text},
};

/// The annotation, key and value, by which builders mark an entry as an attestation about another
/// manifest of the same index.
const ATTESTATION_MARK: (&str, &str) = ("vnd.docker.reference.type", "attestation-manifest");

/// The annotation by which an attestation names the manifest it is about.
const ATTESTED_DIGEST: &str = "vnd.docker.reference.digest";

/// A pointer to content: its digest, its size and its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The type of the content; [`MediaType::Other`] with an empty name where the descriptor has
    /// none.
    pub media_type: MediaType,
    /// The digest of the content, by which it is fetched and verified.
    pub digest: Digest,
    /// The size of the content in bytes; 0 where the descriptor has none, as in schema 1.
    pub size: u64,
    /// The platform of the content, as the descriptor spells it: not normalised.
    pub platform: Option<Platform>,
    /// Annotations of the builder; those with a `null` value are left out.
    pub annotations: BTreeMap<String, String>,
    /// The type of the artifact it points to; empty for an image.
    pub artifact_type: Box<str>,
    /// Whether it names places outside the registry where the content is.
    pub has_urls: bool,
}

impl Descriptor {
    /// Whether it points to an attestation (provenance, bill of materials) instead of an image.
    pub fn is_attestation(&self) -> bool {
        let (key, value) = ATTESTATION_MARK;
        self.annotations
            .get(key)
            .is_some_and(|found| found == value)
    }

    /// For an attestation: the digest it names as its subject, unparsed; empty where it names none.
    ///
    /// `None` for any other descriptor.
    pub fn attested(&self) -> Option<&str> {
        let about = self.annotations.get(ATTESTED_DIGEST);
        self.is_attestation()
            .then(|| about.map_or("", String::as_str))
    }

    /// Whether it points to an artifact that is no image, whatever platform it names.
    pub fn is_artifact(&self) -> bool {
        !self.artifact_type.is_empty()
    }

    /// Whether it is a layer that its vendor alone may hand out, as those of Windows are: clients
    /// fetch it from its URLs, and the registry need not have it.
    pub fn is_foreign(&self) -> bool {
        self.has_urls && self.media_type.is_foreign()
    }

    /// Reads a descriptor. Unknown fields are ignored; every field but the digest may be absent.
    pub(crate) fn from_json(reader: &mut Reader, text: &str) -> Result<Self, DescriptorError> {
        let fields = [
            "mediaType",
            "digest",
            "size",
            "platform",
            "annotations",
            "artifactType",
            "urls",
        ];
        let fields = reader.object(text, fields);
        let [
            media_type,
            digest,
            size,
            platform,
            annotations,
            artifact_type,
            urls,
        ] = fields.map_err(|()| DescriptorError::Malformed)?;
        let wrong = |field| DescriptorError::Field { field };
        let Ok(media_type) = json::text(media_type, "mediaType").map_err(wrong)?.parse();
        let digest = json::text(digest, "digest").map_err(wrong)?;
        // Clients read the size as a signed 64-bit number, so a larger one is refused here too.
        let size: i64 = json::field(size, "size").map_err(wrong)?;
        let platform = match platform.filter(|raw| json::has_value(Some(raw))) {
            Some(raw) => {
                Some(Platform::from_json(reader, raw.get()).map_err(|()| wrong("platform"))?)
            }
            None => None,
        };
        let annotations: BTreeMap<Text, Option<Text>> =
            json::field(annotations, "annotations").map_err(wrong)?;
        let without_null = |(Text(key), value): (Text, Option<Text>)| Some((key, value?.0));
        let artifact_type = json::text(artifact_type, "artifactType").map_err(wrong)?;
        let urls: Vec<Text> = json::field(urls, "urls").map_err(wrong)?;
        Ok(Self {
            media_type,
            digest: digest.parse()?,
            size: size.try_into().map_err(|_| wrong("size"))?,
            platform,
            annotations: annotations.into_iter().filter_map(without_null).collect(),
            artifact_type: artifact_type.into_boxed_str(),
            has_urls: !urls.is_empty(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Spelling;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn read(fields: &str) -> Result<Descriptor, DescriptorError> {
        parse(&format!("{{\"digest\":\"{DIGEST}\"{fields}}}"))
    }

    fn parse(text: &str) -> Result<Descriptor, DescriptorError> {
        Descriptor::from_json(&mut Reader::new(Spelling::Last), text)
    }

    #[test]
    fn all_but_the_digest_may_be_absent_or_null() {
        let bare = read("").unwrap();
        assert_eq!(bare.digest.to_string(), DIGEST);
        assert_eq!((bare.media_type.as_str(), bare.size), ("", 0));
        assert_eq!((&bare.platform, bare.annotations.len()), (&None, 0));
        let nulls = r#","mediaType":null,"size":null,"platform":null,"annotations":null"#;
        assert_eq!(read(nulls).unwrap(), bare);
    }

    #[test]
    fn a_null_among_annotations_or_features_counts_as_absent() {
        let json = r#","annotations":{"a":null,"b":"c"},"platform":{"os.features":[null,"f"]}"#;
        let read = read(json).unwrap();
        assert_eq!(read.annotations, [("b".into(), "c".into())].into());
        assert_eq!(read.platform.unwrap().os_features, ["f"]);
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let read =
            read(r#","size":7,"urls":["https://example.com"],"data":"e30=","new":{"size":-1}"#)
                .unwrap();
        assert_eq!(read.size, 7);
    }

    #[test]
    fn a_platform_is_kept_as_it_is_spelled() {
        let json = r#","platform":{"architecture":"AMD64","os":"windows","os.version":"10.0.1","os.features":["f"]}"#;
        let platform = read(json).unwrap().platform.unwrap();
        assert_eq!(
            (platform.architecture.as_str(), platform.os.as_str()),
            ("AMD64", "windows")
        );
        assert_eq!(
            (platform.os_version.as_str(), platform.os_features),
            ("10.0.1", vec!["f".to_owned()])
        );
    }

    #[test]
    fn an_empty_platform_is_still_a_platform() {
        let json = r#","platform":{"os":null,"os.features":null}"#;
        assert_eq!(read(json).unwrap().platform, Some(Platform::default()));
    }

    #[test]
    fn a_value_of_a_wrong_type_is_an_error_that_names_the_field() {
        let cases = [
            ("size", r#","size":-1"#),
            ("size", r#","size":1.5"#),
            ("size", r#","size":"1""#),
            ("size", r#","size":9223372036854775808"#),
            ("mediaType", r#","mediaType":1"#),
            ("platform", r#","platform":["linux","amd64"]"#),
            ("platform", r#","platform":{"os":1}"#),
            ("annotations", r#","annotations":{"a":1}"#),
            ("artifactType", r#","artifactType":1"#),
            ("urls", r#","urls":"https://example.com""#),
        ];
        for (field, json) in cases {
            assert_eq!(
                read(json).unwrap_err(),
                DescriptorError::Field { field },
                "{json}"
            );
        }
    }

    #[test]
    fn a_missing_or_malformed_digest_is_refused() {
        assert!(matches!(parse("{}"), Err(DescriptorError::Digest(_))));
        assert!(matches!(
            parse(r#"{"digest":"sha256:00"}"#),
            Err(DescriptorError::Digest(_))
        ));
        let blake3 = format!("{{\"digest\":\"blake3:{}\"}}", "0".repeat(64));
        assert!(matches!(parse(&blake3), Err(DescriptorError::Digest(_))));
    }

    #[test]
    fn the_last_value_of_a_repeated_key_counts() {
        let twice = read(r#","size":1,"size":2,"platform":{"os":"a","os":"b"}"#).unwrap();
        assert_eq!(twice.size, 2);
        assert_eq!(twice.platform.unwrap().os, "b");
    }

    #[test]
    fn a_text_that_was_cut_in_the_middle_of_an_emoji_is_read_up_to_there() {
        let cut = read(r#","annotations":{"a":"x\ud83d","b\ud83d":"y","c":"z"}"#).unwrap();
        assert!(cut.annotations["a"].starts_with("x\u{fffd}"));
        assert_eq!(
            (cut.annotations.len(), cut.annotations["c"].as_str()),
            (3, "z")
        );
    }

    #[test]
    fn a_foreign_layer_has_a_type_of_its_own_and_says_where_it_is() {
        let urls = r#","urls":["https://example.com"]"#;
        for (kind, urls, expected) in [
            (
                "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                urls,
                true,
            ),
            (
                "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
                urls,
                true,
            ),
            (
                "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                "",
                false,
            ),
            (
                "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                r#","urls":[]"#,
                false,
            ),
            ("application/vnd.oci.image.layer.v1.tar+gzip", urls, false),
            ("", urls, false),
        ] {
            let layer = read(&format!(r#","mediaType":"{kind}"{urls}"#)).unwrap();
            assert_eq!(layer.is_foreign(), expected, "{kind} {urls}");
        }
    }

    #[test]
    fn an_artifact_is_known_by_its_type() {
        assert!(read(r#","artifactType":"a/b""#).unwrap().is_artifact());
        for none in ["", r#","artifactType":"""#, r#","artifactType":null"#] {
            assert!(!read(none).unwrap().is_artifact(), "{none}");
        }
    }

    #[test]
    fn anything_but_an_object_is_malformed() {
        for json in ["[]", "null", "1", "\"x\""] {
            assert_eq!(
                parse(json).unwrap_err(),
                DescriptorError::Malformed,
                "{json}"
            );
        }
    }

    #[test]
    fn an_attestation_is_known_by_its_annotation() {
        let annotated =
            |value| format!(r#","annotations":{{"vnd.docker.reference.type":"{value}"}}"#);
        assert!(
            read(&annotated("attestation-manifest"))
                .unwrap()
                .is_attestation()
        );
        assert!(!read(&annotated("other")).unwrap().is_attestation());
        assert!(!read("").unwrap().is_attestation());
    }
}
