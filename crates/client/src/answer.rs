//! An answer of a running Archway to a request for a manifest.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};
use manifest_model::{Algorithm, Digest, Manifest, MediaType};
use protocol::{error_body, headers};
use reqwest::Response;
use serde_json::Value;

use super::error::{ClientError, InvalidAnswer};

/// An answer with any status, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; empty for a HEAD.
    pub body: Bytes,
    url: String,
}

impl Answer {
    pub(crate) async fn read(response: Response, url: String) -> Result<Self, ClientError> {
        let (status, headers) = (response.status(), response.headers().clone());
        match response.bytes().await {
            Ok(body) => Ok(Self {
                status,
                headers,
                body,
                url,
            }),
            Err(error) => Err(ClientError::Invalid {
                url,
                source: error.into(),
            }),
        }
    }

    /// The answer itself, unless its status is an error.
    pub fn successful(self) -> Result<Self, ClientError> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(self.refusal())
    }

    /// The error for a status that is one.
    pub(crate) fn refusal(&self) -> ClientError {
        ClientError::Refused {
            status: self.status,
            message: self.message(),
            next: self.detail()["next"].as_str().map(str::to_owned),
        }
    }

    /// The error for an answer with a flaw.
    pub fn invalid(&self, flaw: impl Into<InvalidAnswer>) -> ClientError {
        ClientError::Invalid {
            url: self.url.clone(),
            source: flaw.into(),
        }
    }

    /// The message of its error body, else the body as text.
    pub fn message(&self) -> String {
        let error = error_body::Read::parse(&self.body);
        if error.message.is_empty() {
            String::from_utf8_lossy(&self.body).trim().to_owned()
        } else {
            error.message
        }
    }

    /// What its error body says beside the message; null where it says nothing.
    pub fn detail(&self) -> Value {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["errors"][0]["detail"].clone()
    }

    /// A header as text.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The digest in its headers.
    pub fn digest(&self) -> Option<Digest> {
        self.header(&headers::DOCKER_CONTENT_DIGEST)?.parse().ok()
    }

    /// The media type in its headers.
    pub fn media_type(&self) -> Option<MediaType> {
        self.header(&header::CONTENT_TYPE)?.parse().ok()
    }

    /// The body as a manifest.
    pub fn manifest(self) -> Result<Manifest, ClientError> {
        let answer = self.successful()?;
        let media_type = answer.media_type();
        let algorithm = answer
            .digest()
            .map_or(Algorithm::Sha256, |digest| digest.algorithm());
        Manifest::parse(answer.body.clone(), media_type.as_ref(), algorithm)
            .map_err(|error| answer.invalid(error))
    }
}
