//! Uploads in parts: nothing is seen of one before it is completed.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use http::Response;

use super::Object;
use super::answers::{empty, refusal, xml};
use crate::server::Body;

/// The uploads that have begun.
#[derive(Default)]
pub(super) struct Uploads {
    begun: BTreeMap<String, Upload>,
    number: usize,
}

struct Upload {
    key: String,
    noted: Vec<(String, String)>,
    parts: BTreeMap<usize, Bytes>,
}

impl Uploads {
    pub(super) fn count(&self) -> usize {
        self.begun.len()
    }

    pub(super) fn begin(&mut self, key: &str, noted: Vec<(String, String)>) -> Response<Body> {
        self.number += 1;
        let id = format!("upload-{}", self.number);
        let upload = Upload {
            key: key.to_owned(),
            noted,
            parts: BTreeMap::new(),
        };
        self.begun.insert(id.clone(), upload);
        xml(&format!(
            "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
        ))
    }

    pub(super) fn add(
        &mut self,
        id: &str,
        query: &BTreeMap<String, String>,
        body: &Bytes,
    ) -> Response<Body> {
        let number = query
            .get("partNumber")
            .and_then(|number| number.parse().ok());
        match (self.begun.get_mut(id), number) {
            (Some(upload), Some(number)) => {
                upload.parts.insert(number, body.clone());
                empty(200)
            }
            _ => refusal(404, "NoSuchUpload"),
        }
    }

    pub(super) fn complete(&mut self, id: &str, body: &[u8]) -> Option<(String, Object)> {
        let upload = self.begun.remove(id)?;
        let named = String::from_utf8_lossy(body)
            .matches("<PartNumber>")
            .count();
        assert_eq!(named, upload.parts.len(), "all parts are named");
        let mut bytes = BytesMut::new();
        for part in upload.parts.values() {
            bytes.extend_from_slice(part);
        }
        let object = Object::new(bytes.freeze(), upload.noted);
        Some((upload.key, object))
    }

    pub(super) fn abort(&mut self, id: &str) {
        self.begun.remove(id);
    }
}
