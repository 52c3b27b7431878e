//! Why the bucket did not do what was asked of it.

/// The longest text of a provider that is passed on.
const MAX_REASON: usize = 400;

/// Why the bucket did not do what was asked of it. No client ever sees one: it gets the upstream's
/// answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TierError {
    /// There is no such object.
    #[error("the bucket does not have it")]
    Absent,
    /// We may not do this: credentials, a policy, a key, a clock that is wrong.
    #[error("the bucket refuses us: {0}")]
    Denied(String),
    /// It did not answer in time, or could not be reached.
    #[error("the bucket does not answer: {0}")]
    Silent(String),
    /// Any other failure, such as an overload.
    #[error("the bucket failed: {0}")]
    Failed(String),
    /// An object is larger than anything that is written under its name.
    #[error("an object in the bucket is too large")]
    TooLarge,
    /// It is not asked at the moment, after such an error.
    #[error("the bucket is left alone for a while")]
    LeftAlone,
}

impl TierError {
    /// What the library's error means.
    pub(crate) fn of(error: &object_store::Error) -> Self {
        use object_store::Error;
        // It has its causes in it.
        let reason = shortened(error.to_string());
        match error {
            Error::NotFound { .. } => Self::Absent,
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => Self::Denied(reason),
            // A refusal of the credentials themselves comes as other statuses too.
            _ if is_refusal(&reason) => Self::Denied(reason),
            _ => Self::Failed(reason),
        }
    }
}

/// Words of providers for what only an operator can change.
fn is_refusal(reason: &str) -> bool {
    const WORDS: [&str; 9] = [
        "AccessDenied",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "RequestTimeTooSkewed",
        "ExpiredToken",
        "NoSuchBucket",
        "PermanentRedirect",
        "KMS",
        "no AWS credentials",
    ];
    WORDS.iter().any(|word| reason.contains(word))
}

fn shortened(reason: String) -> String {
    if reason.chars().count() <= MAX_REASON {
        return reason;
    }
    let mut short: String = reason.chars().take(MAX_REASON).collect();
    short.push_str("...");
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> TierError {
        TierError::of(&object_store::Error::Generic {
            store: "S3",
            source: text.to_owned().into(),
        })
    }

    #[test]
    fn what_only_an_operator_can_change_is_a_refusal() {
        let kms = "403 Forbidden: <Code>KMS.DisabledException</Code>";
        assert!(matches!(generic(kms), TierError::Denied(_)));
        let skew = "403: <Code>RequestTimeTooSkewed</Code>";
        assert!(matches!(generic(skew), TierError::Denied(_)));
        assert!(matches!(generic("503 SlowDown"), TierError::Failed(_)));
    }

    #[test]
    fn a_long_answer_is_shortened() {
        let TierError::Failed(reason) = generic(&"x".repeat(5000)) else {
            panic!("no failure");
        };
        assert!(reason.len() < 2 * MAX_REASON);
    }
}
