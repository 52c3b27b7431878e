//! What upstreams have said about the attachments of an image: kept as long as the image, and
//! repeated while the upstream cannot be asked.
//!
//! Clients follow an image with questions about it (docker 29 with two for each attestation, both
//! mostly a "not found"), and give up the whole pull where one of them fails. Owns the questions
//! that are kept; refuses the decision when to repeat an answer.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cache::{Cache, KeptAnswer};
use manifest_model::{Digest, Tag};
use protocol::error_chain::ErrorChain;
use tracing::warn;
use upstream::Resource;

use crate::{PullError, Repository};

/// What tools add to a tag of referrers: the specification nothing, cosign the rest. A tag with
/// anything else is not kept, or a client could name any number of them.
const ADDED: [&str; 4] = ["", ".sig", ".att", ".sbom"];

/// The question of the referrers API; a filter follows it.
const REFERRERS: &str = "referrers";

/// A question about a subject, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) subject: Digest,
    text: String,
    what: Resource,
}

impl Question {
    /// Whether there is this tag, if it is one of those that are kept.
    pub(super) fn of_tag(tag: &Tag) -> Option<Self> {
        let (subject, added) = tag.subject()?;
        ADDED.contains(&added).then(|| Self {
            subject,
            text: tag.as_str().to_owned(),
            what: Resource::Manifest,
        })
    }

    /// The referrers of a subject, all or those of one type.
    pub(super) fn of_referrers(subject: Digest, artifact_type: Option<&str>) -> Self {
        Self {
            subject,
            text: artifact_type.map_or_else(
                || REFERRERS.to_owned(),
                |kind| format!("{REFERRERS}?artifactType={kind}"),
            ),
            what: Resource::ReferrersApi,
        }
    }

    /// The last answer of the upstream.
    pub(super) fn last_answer(&self, cache: &Cache, repository: &Repository) -> Option<KeptAnswer> {
        cache.kept_answer(&repository.key, &self.subject, &self.text)
    }

    /// How long ago the upstream said that there is no such thing, if that is the last it said.
    pub(super) fn absent_for(&self, cache: &Cache, repository: &Repository) -> Option<Duration> {
        let kept = self.last_answer(cache, repository)?;
        kept.body.is_none().then(|| age_of(&kept))
    }

    /// Keeps the answer that the upstream has just given, for a subject that its repository is
    /// known to have; `None` where there is no such thing.
    pub(super) async fn keep(&self, cache: &Cache, repository: &Repository, body: Option<Bytes>) {
        if !cache.is_linked(&repository.key, &self.subject) {
            return;
        }
        let kept = cache.keep_answer(&repository.key, &self.subject, &self.text, body);
        if let Err(error) = kept.await {
            warn!(error = %ErrorChain(&error), repository = %repository.key, subject = %self.subject, "an answer about an image could not be kept");
        }
    }

    /// The absence as an answer.
    pub(super) fn was_absent(&self, repository: &Repository, age: Duration) -> PullError {
        PullError::WasAbsent {
            upstream: repository.upstream.host().clone(),
            what: self.what,
            age,
        }
    }
}

/// How long ago an answer was given; nothing where the clock was set back.
pub(super) fn age_of(kept: &KeptAnswer) -> Duration {
    SystemTime::now()
        .duration_since(kept.at)
        .unwrap_or_default()
}
