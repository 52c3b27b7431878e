//! `DescribeImages`: when an image was pushed to ECR. Only listings ask, with the identity and at
//! the endpoint of the tokens.
//!
//! ECR refuses a whole call for one image it does not have, so a refused batch is asked for again
//! in halves. The number of calls is bounded; the rest stays unknown until the next listing.

use std::time::SystemTime;

use aws_sdk_ecr::{error::ProvideErrorMetadata, types::ImageIdentifier};
use manifest_model::{Digest, RepoName};

use super::api::Api;
use crate::error::SdkFailure;

/// The largest number of images that ECR accepts in one call.
const MAX_BATCH: usize = 100;

/// The largest number of calls for one repository and listing.
const MAX_CALLS: usize = 32;

/// The error codes of AWS APIs that limit our requests.
const THROTTLING_CODES: [&str; 7] = [
    "LimitExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// A repository of private ECR.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EcrRepository<'a> {
    /// The account of the registry; by default the identity's own.
    pub account: Option<&'a str>,
    /// Its name there.
    pub name: &'a RepoName,
}

/// When images were pushed, as far as it is known.
#[derive(Debug, Default)]
pub struct ImagePushTimes {
    /// The images with a time.
    pub times: Vec<(Digest, SystemTime)>,
    /// The images that ECR does not have.
    pub missing: Vec<Digest>,
    /// Why the others are unknown.
    pub error: Option<PushTimesError>,
}

/// Why push times are unknown.
#[derive(Debug, thiserror::Error)]
pub enum PushTimesError {
    /// ECR refused the call. For another repository it may answer.
    #[error("ecr:DescribeImages was refused")]
    Refused(#[source] SdkFailure),
    /// ECR did not answer, or limits our requests: further calls now would fail as well.
    #[error("ecr:DescribeImages failed")]
    Failed(#[source] SdkFailure),
    /// ECR Public has no such call.
    #[error("ECR Public does not tell when an image was pushed")]
    NotOffered,
    /// The images that ECR does not have would take more calls to find.
    #[error("more than {MAX_CALLS} calls of ecr:DescribeImages would be needed")]
    TooManyCalls,
}

enum BatchAnswer {
    Times(Vec<(Digest, SystemTime)>),
    /// ECR does not have all of them.
    Incomplete,
    Failed(PushTimesError),
}

impl Api {
    /// When the images `digests` of a repository were pushed, as far as ECR tells it.
    pub(super) async fn push_times(
        &self,
        repository: EcrRepository<'_>,
        digests: &[Digest],
    ) -> ImagePushTimes {
        let mut found = ImagePushTimes::default();
        let mut batches: Vec<&[Digest]> = digests.chunks(MAX_BATCH).collect();
        for _ in 0..MAX_CALLS {
            let Some(batch) = batches.pop() else {
                return found;
            };
            match self.describe(repository, batch).await {
                BatchAnswer::Times(times) => found.times.extend(times),
                BatchAnswer::Incomplete if batch.len() == 1 => found.missing.extend(batch),
                BatchAnswer::Incomplete => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    batches.extend([first, second]);
                }
                BatchAnswer::Failed(error) => {
                    found.error = Some(error);
                    return found;
                }
            }
        }
        if !batches.is_empty() {
            found.error = Some(PushTimesError::TooManyCalls);
        }
        found
    }

    async fn describe(&self, repository: EcrRepository<'_>, batch: &[Digest]) -> BatchAnswer {
        let Some(client) = self.private().await else {
            return BatchAnswer::Failed(PushTimesError::NotOffered);
        };
        let ids = batch.iter().map(|digest| {
            let id = ImageIdentifier::builder();
            id.image_digest(digest.to_string()).build()
        });
        let answer = client
            .describe_images()
            .set_registry_id(repository.account.map(str::to_owned))
            .repository_name(repository.name.as_str())
            .set_image_ids(Some(ids.collect()))
            .send()
            .await;
        match answer {
            Ok(answer) => {
                let details = answer.image_details().iter().filter_map(|detail| {
                    let digest = detail.image_digest()?.parse().ok()?;
                    Some((
                        digest,
                        SystemTime::try_from(*detail.image_pushed_at()?).ok()?,
                    ))
                });
                BatchAnswer::Times(details.collect())
            }
            Err(error) => match error.as_service_error() {
                Some(refusal) if refusal.is_image_not_found_exception() => BatchAnswer::Incomplete,
                Some(refusal) if !is_throttling(refusal.code()) => {
                    BatchAnswer::Failed(PushTimesError::Refused(error.into()))
                }
                _ => BatchAnswer::Failed(PushTimesError::Failed(error.into())),
            },
        }
    }
}

fn is_throttling(code: Option<&str>) -> bool {
    code.is_some_and(|code| THROTTLING_CODES.contains(&code))
}
