//! `DescribeImages`: when ECR got an image. Asked for listings alone, with the identity and at the endpoint of the tokens.
//!
//! ECR refuses a whole call for one image it does not have, so a refused batch is asked for again in halves. The number of calls
//! is bounded; what is not found out by then is for another time.

use std::time::SystemTime;

use aws_sdk_ecr::{error::ProvideErrorMetadata, types::ImageIdentifier};
use manifest_model::{Digest, RepoName};
use protocol::error_chain::ErrorChain;

use super::api::Api;

/// Images of one call: ECR takes no more.
const BATCH: usize = 100;

/// Calls for one repository at a time.
const MOST_CALLS: usize = 32;

/// What AWS APIs answer to who asks too much.
const THROTTLED: [&str; 7] = [
    "LimitExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// Where images are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The account of the registry; by default the identity's own.
    pub account: Option<&'a str>,
    /// The repository there.
    pub repository: &'a RepoName,
}

/// What was found out.
#[derive(Debug, Default)]
pub struct Pushed {
    /// When ECR got these.
    pub times: Vec<(Digest, SystemTime)>,
    /// ECR does not have these.
    pub lacking: Vec<Digest>,
    /// Why the others are unknown, where that is not ECR's lack of them.
    pub trouble: Option<Unsaid>,
}

/// Why ECR did not say it.
#[derive(Debug, thiserror::Error)]
pub enum Unsaid {
    /// It has answered: about another repository it may say more.
    #[error("ecr:DescribeImages was refused: {0}")]
    Refused(String),
    /// It has not, or asks for a rest: there is no use in asking on.
    #[error("ecr:DescribeImages failed: {0}")]
    Failed(String),
}

enum Answer {
    Times(Vec<(Digest, SystemTime)>),
    /// It does not have all of them.
    Lacking,
    Nothing(Unsaid),
}

impl Api {
    /// When the images `digests` of a repository were pushed, as far as ECR says so.
    pub(super) async fn pushed(&self, place: Place<'_>, digests: &[Digest]) -> Pushed {
        let mut pushed = Pushed::default();
        let mut batches: Vec<&[Digest]> = digests.chunks(BATCH).collect();
        for _ in 0..MOST_CALLS {
            let Some(batch) = batches.pop() else {
                return pushed;
            };
            match self.describe(place, batch).await {
                Answer::Times(times) => pushed.times.extend(times),
                Answer::Lacking if batch.len() == 1 => pushed.lacking.extend(batch),
                Answer::Lacking => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    batches.extend([first, second]);
                }
                Answer::Nothing(reason) => {
                    pushed.trouble = Some(reason);
                    return pushed;
                }
            }
        }
        if !batches.is_empty() {
            let reason = format!("more than {MOST_CALLS} calls would be needed");
            pushed.trouble = Some(Unsaid::Refused(reason));
        }
        pushed
    }

    async fn describe(&self, place: Place<'_>, batch: &[Digest]) -> Answer {
        let Some(client) = self.private().await else {
            let reason = "ECR Public has no such call".to_owned();
            return Answer::Nothing(Unsaid::Refused(reason));
        };
        let ids = batch.iter().map(|digest| {
            let id = ImageIdentifier::builder();
            id.image_digest(digest.to_string()).build()
        });
        let answer = client
            .describe_images()
            .set_registry_id(place.account.map(str::to_owned))
            .repository_name(place.repository.as_str())
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
                Answer::Times(details.collect())
            }
            Err(error) => match error.as_service_error() {
                Some(refusal) if refusal.is_image_not_found_exception() => Answer::Lacking,
                Some(refusal) if is_throttled(refusal.code()) => {
                    Answer::Nothing(Unsaid::Failed(ErrorChain(&error).to_string()))
                }
                Some(_) => Answer::Nothing(Unsaid::Refused(ErrorChain(&error).to_string())),
                None => Answer::Nothing(Unsaid::Failed(ErrorChain(&error).to_string())),
            },
        }
    }
}

fn is_throttled(code: Option<&str>) -> bool {
    code.is_some_and(|code| THROTTLED.contains(&code))
}
