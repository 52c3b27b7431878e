//! One tag or digest of a repository, and how much of it is stored.

use std::time::SystemTime;

use cache::{Cache, CacheError, RepoKey, TagEntry};
use config::UpstreamConfig;
use manifest_model::{Digest, Matcher, Platform, RepoName, Tag};
use protocol::host::Host;
use pull::{TagLife, TagState};
use serde::{Deserialize, Serialize};

use super::{
    attachment::Attachment, completeness::Completeness, index_walk::parts_of_index, moment::Moment,
    part::ImagePart, stored::stored, text,
};

/// A tag or a digest of a repository, and how much of it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The upstream, by its canonical name.
    #[serde(with = "text")]
    pub upstream: Host,
    /// The repository at the upstream, written in full: `library/busybox`.
    #[serde(with = "text")]
    pub repository: RepoName,
    /// The tag; none where the query named a digest.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "text::optional"
    )]
    pub tag: Option<Tag>,
    /// The digest the tag points at.
    pub digest: Digest,
    /// Whether the digest is that of an index.
    pub index: bool,
    /// Where the tag stands at its age; none for a digest, which has no age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag_state: Option<TagState>,
    /// When the upstream last confirmed the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Moment>,
    /// From when on a client has the upstream asked for the tag; none if never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_again: Option<Moment>,
    /// From when on clients get an error for the tag while the upstream gives no answer; none if
    /// never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Moment>,
    /// When it was pushed to the upstream. Unknown unless the upstream may be asked (`pushed_at`)
    /// and answers.
    #[serde(default)]
    pub pushed: Option<Moment>,
    /// When a client last requested it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Moment>,
    /// How many clients have pulled it in the last 30 days, counted by address.
    #[serde(default)]
    pub clients: usize,
    /// Whether `clients` has reached the most addresses that are kept, so that there may be more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clients_or_more: bool,
    /// Its images and their attestations, in the order of the index.
    pub parts: Vec<ImagePart>,
    /// Signatures, attestations and SBOMs kept under tags of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attached: Vec<Attachment>,
}

impl Image {
    /// The image for exactly `wanted`. One for another platform that the same processor runs does
    /// not make it complete.
    pub fn part(&self, wanted: &Platform) -> Option<&ImagePart> {
        let matcher = Matcher::strict(wanted);
        let fits = |part: &&ImagePart| {
            let platform = part.platform.as_ref();
            part.is_image() && platform.is_some_and(|platform| matcher.matches(platform))
        };
        self.parts.iter().find(fits)
    }

    /// How much of it is stored for `wanted`.
    pub fn completeness(&self, wanted: &Platform) -> Completeness {
        self.part(wanted)
            .map_or(Completeness::Absent, |part| part.state)
    }

    /// Whether the platform of at least one of its images is unknown.
    pub fn has_unknown(&self) -> bool {
        self.parts
            .iter()
            .any(|part| part.is_image() && part.platform.is_none())
    }

    /// Its name: `HOST/REPOSITORY:TAG`, or `HOST/REPOSITORY@DIGEST`.
    pub fn name(&self) -> String {
        let (upstream, repository) = (&self.upstream, &self.repository);
        match &self.tag {
            Some(tag) => format!("{upstream}/{repository}:{tag}"),
            None => format!("{upstream}/{repository}@{}", self.digest),
        }
    }

    /// Fills in where its tag stands now, under the settings of its upstream.
    pub(super) fn judge_tag(&mut self, config: &UpstreamConfig, now: SystemTime) {
        let (Some(tag), Some(confirmed)) = (&self.tag, self.confirmed) else {
            return;
        };
        let entry = TagEntry {
            digest: self.digest,
            confirmed: confirmed.time(),
        };
        let life = TagLife::of(&entry, tag, config, now);
        self.tag_state = Some(life.state);
        self.asked_again = life.asked_again.map(Moment::from);
        self.expires = life.expires.map(Moment::from);
    }

    /// Surveys how much of `digest` is stored; `None` if its manifest is not. Blocks.
    pub(super) fn survey(
        cache: &Cache,
        repository: &RepoKey,
        tag: Option<(&Tag, SystemTime)>,
        digest: &Digest,
    ) -> Result<Option<Self>, CacheError> {
        // Keys are made of a host and a name; one that is not comes from another version.
        let (Ok(upstream), Ok(name)) = (repository.upstream().parse(), repository.name().parse())
        else {
            return Ok(None);
        };
        let Some(manifest) = stored(cache, digest)? else {
            return Ok(None);
        };
        let parts = if manifest.is_index() {
            parts_of_index(cache, &manifest)?
        } else {
            vec![ImagePart::of_manifest(cache, &manifest, None)?]
        };
        let clients = cache.clients().count(repository, digest)?;
        Ok(Some(Self {
            upstream,
            repository: name,
            tag: tag.map(|(tag, _)| tag.clone()),
            digest: *digest,
            index: manifest.is_index(),
            tag_state: None,
            confirmed: tag.map(|(_, confirmed)| confirmed.into()),
            asked_again: None,
            expires: None,
            pushed: None,
            used: cache.last_used(digest)?.map(Moment::from),
            clients: clients.count,
            clients_or_more: clients.or_more,
            parts,
            attached: Attachment::survey(cache, repository, digest)?,
        }))
    }
}
