//! The error body of the distribution spec: written to clients, read from upstreams.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The error codes of the distribution spec that a pull-through proxy needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The upstream does not have the blob.
    BlobUnknown,
    /// The digest is malformed.
    DigestInvalid,
    /// The upstream does not have the manifest, or the index has no image for the platform.
    ManifestUnknown,
    /// The repository name is malformed.
    NameInvalid,
    /// The upstream does not have the repository, or no such upstream is configured.
    NameUnknown,
    /// The upstream refuses our credentials.
    Denied,
    /// The proxy does not offer the operation, such as a push.
    Unsupported,
    /// The upstream limits our rate, and the cache has no copy to serve instead.
    TooManyRequests,
    /// The upstream is out of reach. Ours: the spec has no code for a gateway error.
    Unavailable,
    /// The proxy itself failed. Ours as well.
    Unknown,
}

impl Code {
    /// The code on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

#[derive(Serialize)]
struct Written<'a> {
    errors: [WrittenError<'a>; 1],
}

#[derive(Serialize)]
struct WrittenError<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a Value>,
}

/// The body for one error.
pub fn write(code: Code, message: &str, detail: Option<&Value>) -> Vec<u8> {
    let body = Written {
        errors: [WrittenError {
            code: code.as_str(),
            message,
            detail,
        }],
    };
    serde_json::to_vec(&body).expect("strings and JSON values always serialise")
}

/// The first error of an upstream's body; empty where the body does not follow the spec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// The code, or an empty text.
    pub code: String,
    /// The message, or an empty text; cut to a length fit for a log line.
    pub message: String,
}

#[derive(Deserialize)]
struct Received {
    #[serde(default)]
    errors: Vec<ReceivedError>,
}

#[derive(Deserialize)]
struct ReceivedError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The characters kept of a code or message: enough for people, and fit for a log line.
const MAX_MESSAGE_CHARS: usize = 300;

impl Read {
    /// Reads an upstream's body. A body that is not the spec's JSON gives an empty error.
    pub fn parse(body: &[u8]) -> Self {
        let received = serde_json::from_slice::<Received>(body).ok();
        let first = received.and_then(|received| received.errors.into_iter().next());
        first.map_or_else(Self::default, |error| Self {
            code: shorten(&error.code),
            message: shorten(&error.message),
        })
    }

    /// The message, else the code, for an error of our own that quotes the upstream.
    pub fn reason(&self) -> &str {
        match (self.code.as_str(), self.message.as_str()) {
            ("", "") => "it gave no reason",
            (code, "") => code,
            (_, message) => message,
        }
    }
}

fn shorten(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(MAX_MESSAGE_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let body = write(Code::Denied, "no", None);
        assert_eq!(
            Read::parse(&body),
            Read {
                code: "DENIED".into(),
                message: "no".into()
            }
        );
    }

    #[test]
    fn a_page_of_html_reads_as_nothing() {
        assert_eq!(Read::parse(b"<html>502</html>"), Read::default());
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            Read::parse(&body);
        }
    }
}
