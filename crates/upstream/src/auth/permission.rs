//! The reason of a refusal, and for ECR the permission to add.

use http::{HeaderValue, StatusCode};
use protocol::error_body;

use crate::error::Resource;

/// The shortest credential that is masked. A shorter one could be any word of the message.
const MIN_SECRET_LENGTH: usize = 8;

/// The words before the missing action in ECR's refusals.
const ACTION_PREFIX: &str = "not authorized to perform: ";

/// The refusal in one sentence. The credential that was sent is masked: some registries repeat it.
pub(super) fn reason(
    body: &error_body::Read,
    is_ecr: bool,
    status: StatusCode,
    resource: Resource,
    sent: Option<&HeaderValue>,
) -> String {
    let message = without(body.reason(), sent);
    if is_ecr && status == StatusCode::FORBIDDEN {
        let action = missing_action(&message, resource);
        format!(
            "{message}; {action} is missing: allow it in the identity's IAM policy and, for a \
             repository of another account, in the policy of that repository"
        )
    } else {
        message
    }
}

/// The missing IAM action: the one that the message names, else the one that such a request needs.
fn missing_action(message: &str, resource: Resource) -> String {
    let named = message.split_once(ACTION_PREFIX).and_then(|(_, rest)| {
        let action: String = rest
            .chars()
            .take_while(|char| char.is_ascii_alphanumeric() || matches!(char, ':' | '-'))
            .collect();
        action.contains(':').then_some(action)
    });
    named.unwrap_or_else(|| {
        let action = match resource {
            Resource::Blob => "ecr:GetDownloadUrlForLayer or ecr:BatchCheckLayerAvailability",
            Resource::Repository => "ecr:ListImages",
            Resource::ReferrersApi => "ecr:ListImageReferrers",
            Resource::Manifest => "ecr:BatchGetImage",
        };
        action.to_owned()
    })
}

fn without(message: &str, sent: Option<&HeaderValue>) -> String {
    let secret = sent
        .and_then(|header| header.to_str().ok())
        .and_then(|header| header.split_once(' '))
        .map(|(_, secret)| secret)
        .filter(|secret| secret.len() >= MIN_SECRET_LENGTH);
    secret.map_or_else(
        || message.to_owned(),
        |secret| message.replace(secret, "***"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(message: &str, resource: Resource) -> String {
        let body = error_body::Read {
            code: "DENIED".to_owned(),
            message: message.to_owned(),
        };
        reason(&body, true, StatusCode::FORBIDDEN, resource, None)
    }

    #[test]
    fn the_action_that_ecr_names_is_reported() {
        let message = "User: arn:aws:sts::123456789012:assumed-role/a/b is not authorized to perform: \
            ecr:BatchImportUpstreamImage on resource: arn:aws:ecr:eu-west-1:123456789012:repository/a";
        let reason = refused(message, Resource::Manifest);
        assert!(
            reason.contains("; ecr:BatchImportUpstreamImage is missing"),
            "{reason}"
        );
    }

    #[test]
    fn without_a_named_action_the_one_that_the_request_needs_is_reported() {
        for (resource, action) in [
            (Resource::Manifest, "ecr:BatchGetImage"),
            (Resource::Blob, "ecr:GetDownloadUrlForLayer"),
            (Resource::Repository, "ecr:ListImages"),
            (Resource::ReferrersApi, "ecr:ListImageReferrers"),
        ] {
            let reason = refused("", resource);
            assert!(reason.contains(action), "{resource:?}: {reason}");
        }
    }

    #[test]
    fn a_repeated_credential_is_masked() {
        let body = error_body::Read {
            code: "DENIED".to_owned(),
            message: "token c2VjcmV0LXRva2Vu is bad".to_owned(),
        };
        let sent = HeaderValue::from_static("Bearer c2VjcmV0LXRva2Vu");
        let reason = reason(
            &body,
            false,
            StatusCode::FORBIDDEN,
            Resource::Repository,
            Some(&sent),
        );
        assert_eq!(reason, "token *** is bad");
    }
}
