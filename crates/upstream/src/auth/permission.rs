//! Why a registry refuses us although the credential is good, in words that say what to change.

use http::{HeaderValue, StatusCode};
use protocol::error_body;

/// Longer than any separator, so that short words of an answer are never taken for a secret.
const SHORTEST_SECRET: usize = 8;

/// What ECR's refusals say before the action that lacks.
const NAMED: &str = "not authorized to perform: ";

/// The refusal in one sentence, without the credential that was sent: some registries repeat what they were given.
pub(super) fn reason(
    body: &error_body::Read,
    is_ecr: bool,
    status: StatusCode,
    path: &str,
    sent: Option<&HeaderValue>,
) -> String {
    let said = without(body.reason(), sent);
    if is_ecr && status == StatusCode::FORBIDDEN {
        let action = lacking(&said, path);
        format!(
            "{said}; {action} is lacking: allow it in the identity's IAM policy and, for another account's repository, in that repository's policy"
        )
    } else {
        said
    }
}

/// The IAM action that lacks: the one that is named, else the one that such a request needs.
fn lacking(said: &str, path: &str) -> String {
    let named = said.split_once(NAMED).and_then(|(_, rest)| {
        let action: String = rest
            .chars()
            .take_while(|char| char.is_ascii_alphanumeric() || matches!(char, ':' | '-'))
            .collect();
        action.contains(':').then_some(action)
    });
    named.unwrap_or_else(|| {
        let kind = path.split('/').next().unwrap_or_default();
        let action = match kind {
            "blobs" => "ecr:GetDownloadUrlForLayer or ecr:BatchCheckLayerAvailability",
            "tags" => "ecr:ListImages",
            "referrers" => "ecr:ListImageReferrers",
            _ => "ecr:BatchGetImage",
        };
        action.to_owned()
    })
}

fn without(said: &str, sent: Option<&HeaderValue>) -> String {
    let secret = sent
        .and_then(|header| header.to_str().ok())
        .and_then(|header| header.split_once(' '))
        .map(|(_, secret)| secret)
        .filter(|secret| secret.len() >= SHORTEST_SECRET);
    secret.map_or_else(|| said.to_owned(), |secret| said.replace(secret, "***"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(message: &str, path: &str) -> String {
        let body = error_body::Read {
            code: "DENIED".to_owned(),
            message: message.to_owned(),
        };
        reason(&body, true, StatusCode::FORBIDDEN, path, None)
    }

    #[test]
    fn the_action_that_ecr_names_is_told() {
        let message = "User: arn:aws:sts::123456789012:assumed-role/a/b is not authorized to perform: \
            ecr:BatchImportUpstreamImage on resource: arn:aws:ecr:eu-west-1:123456789012:repository/a";
        let reason = refused(message, "manifests/v1");
        assert!(
            reason.contains("; ecr:BatchImportUpstreamImage is lacking"),
            "{reason}"
        );
    }

    #[test]
    fn where_none_is_named_it_is_the_one_the_request_needs() {
        for (path, action) in [
            ("manifests/v1", "ecr:BatchGetImage"),
            ("blobs/sha256:0", "ecr:GetDownloadUrlForLayer"),
            ("tags/list", "ecr:ListImages"),
            ("referrers/sha256:0", "ecr:ListImageReferrers"),
        ] {
            let reason = refused("", path);
            assert!(reason.contains(action), "{path}: {reason}");
        }
    }

    #[test]
    fn a_credential_that_is_repeated_is_not_passed_on() {
        let body = error_body::Read {
            code: "DENIED".to_owned(),
            message: "token c2VjcmV0LXRva2Vu is bad".to_owned(),
        };
        let sent = HeaderValue::from_static("Bearer c2VjcmV0LXRva2Vu");
        let reason = reason(
            &body,
            false,
            StatusCode::FORBIDDEN,
            "tags/list",
            Some(&sent),
        );
        assert_eq!(reason, "token *** is bad");
    }
}
