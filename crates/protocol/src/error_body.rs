//! The error body of the distribution spec: written to clients, read from upstreams.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Error codes of the distribution spec that a pull-through proxy has use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A blob is unknown to the upstream.
    BlobUnknown,
    /// A digest is malformed.
    DigestInvalid,
    /// A manifest is unknown to the upstream, or has nothing for the platform.
    ManifestUnknown,
    /// A repository name is malformed.
    NameInvalid,
    /// The repository, or the upstream it names, is unknown.
    NameUnknown,
    /// The upstream refuses us.
    Denied,
    /// We do not do that.
    Unsupported,
    /// The upstream is limiting us, and we had nothing better to offer.
    TooManyRequests,
    /// Not a code of the spec, which has none for trouble behind a proxy.
    Unavailable,
    /// Not a code of the spec either: our own fault.
    Unknown,
}

impl Code {
    /// The spelling on the wire.
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

/// The first error of an upstream's body, as far as it follows the spec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// The code, or nothing.
    pub code: String,
    /// The message, or nothing; cut to a length fit for a log line.
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

/// The longest message kept of an upstream's error.
const LONGEST_MESSAGE: usize = 300;

impl Read {
    /// Reads what an upstream sent; anything that is not the spec's JSON reads as nothing.
    pub fn parse(body: &[u8]) -> Self {
        let received = serde_json::from_slice::<Received>(body).ok();
        let first = received.and_then(|received| received.errors.into_iter().next());
        first.map_or_else(Self::default, |error| Self {
            code: shorten(&error.code),
            message: shorten(&error.message),
        })
    }

    /// The reason in the upstream's words, as far as it gave one.
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
        .take(LONGEST_MESSAGE)
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
