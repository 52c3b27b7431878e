//! Descriptors: the pointers from one piece of content to another.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Digest, MediaType, Platform, error::DescriptorError, json};

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
}

/// The fields of a descriptor that this crate reads, each still as raw JSON.
#[derive(Deserialize)]
struct RawDescriptor<'a> {
    #[serde(borrow, rename = "mediaType")]
    media_type: Option<&'a RawValue>,
    #[serde(borrow)]
    digest: Option<&'a RawValue>,
    #[serde(borrow)]
    size: Option<&'a RawValue>,
    #[serde(borrow)]
    platform: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
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

    /// Reads a descriptor. Unknown fields are ignored; every field but the digest may be absent.
    pub(crate) fn from_json(text: &str) -> Result<Self, DescriptorError> {
        let raw: RawDescriptor<'_> = json::object(text).map_err(|()| DescriptorError::Malformed)?;
        let wrong = |field| DescriptorError::Field { field };
        let media_type: String = json::field(raw.media_type, "mediaType").map_err(wrong)?;
        let Ok(media_type) = media_type.parse();
        let digest: String = json::field(raw.digest, "digest").map_err(wrong)?;
        // Clients read the size as a signed 64-bit number, so a larger one is refused here too.
        let size: i64 = json::field(raw.size, "size").map_err(wrong)?;
        let platform = match raw.platform {
            Some(raw) => Some(json::object(raw.get()).map_err(|()| wrong("platform"))?),
            None => None,
        };
        let annotations: BTreeMap<String, Option<String>> =
            json::field(raw.annotations, "annotations").map_err(wrong)?;
        let without_null = |(key, value): (String, Option<String>)| value.map(|value| (key, value));
        Ok(Self {
            media_type,
            digest: digest.parse()?,
            size: size.try_into().map_err(|_| wrong("size"))?,
            platform,
            annotations: annotations.into_iter().filter_map(without_null).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn read(fields: &str) -> Result<Descriptor, DescriptorError> {
        Descriptor::from_json(&format!("{{\"digest\":\"{DIGEST}\"{fields}}}"))
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
        assert!(matches!(
            Descriptor::from_json("{}"),
            Err(DescriptorError::Digest(_))
        ));
        assert!(matches!(
            Descriptor::from_json(r#"{"digest":"sha256:00"}"#),
            Err(DescriptorError::Digest(_))
        ));
    }

    #[test]
    fn anything_but_an_object_with_unique_fields_is_malformed() {
        for json in ["[]", "null", "1", "\"x\"", r#"{"size":1,"size":2}"#] {
            assert_eq!(
                Descriptor::from_json(json).unwrap_err(),
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
