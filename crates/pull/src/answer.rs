//! The question and the answer of a request, as plain types.
//!
//! Owns no decision: `resolver` makes those, the routes write them down.

use std::{net::IpAddr, time::Duration};

use config::Resolve;
use manifest_model::{Manifest, Platform};

use crate::{
    PullError,
    hint::{Hint, Source},
};

/// Where an answer came from: the cache, a download under way, or the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The cache.
    Hit,
    /// A download that another request had started.
    Follow,
    /// A download that this request has started.
    Fill,
    /// The cache, although the upstream could not confirm it.
    Stale,
    /// The upstream.
    Miss,
}

impl Outcome {
    /// The spelling in headers, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Follow => "follow",
            Self::Fill => "fill",
            Self::Stale => "stale",
            Self::Miss => "miss",
        }
    }
}

/// A manifest and where it came from.
#[derive(Clone, Debug)]
pub(super) struct ManifestAnswer {
    pub(super) manifest: Manifest,
    pub(super) outcome: Outcome,
    /// How long ago the upstream last confirmed the tag, where it could not do so now.
    pub(super) age: Option<Duration>,
}

impl ManifestAnswer {
    pub(super) fn new(manifest: Manifest, outcome: Outcome) -> Self {
        Self {
            manifest,
            outcome,
            age: None,
        }
    }
}

pub(super) type ManifestResult = Result<ManifestAnswer, PullError>;

/// A platform to answer an index for, and the source that asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Substitution {
    /// The platform.
    pub platform: Platform,
    /// The source of the hint.
    pub source: Source,
}

/// The client that asks for a manifest, as far as it decides the answer.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The hint to follow.
    pub hint: Option<&'a Hint>,
    /// Whether it can read an index.
    pub takes_index: bool,
    /// Its platform where no hint names one and the upstream has no default.
    pub default_platform: &'a Platform,
    /// Whether it wants the body: not with a HEAD.
    pub is_read: bool,
    /// Its address, as seen behind trusted proxies.
    pub address: IpAddr,
}

/// The decision on a manifest request, with the values it was made from.
#[derive(Debug)]
pub struct Served {
    pub(super) found: ManifestAnswer,
    pub(super) mode: Resolve,
    pub(super) substitution: Option<Substitution>,
    pub(super) child: Result<Option<Manifest>, PullError>,
    /// How long an equal request may have the same answer without a question to the upstream: a
    /// digest for good, a tag for the rest of its time to live. Zero for an answer that is not from
    /// the cache.
    pub holds_for: Duration,
    /// For a tag, the count of tag writes before it was looked up: a later write ends `holds_for`.
    pub tag_writes: Option<u64>,
}

impl Served {
    /// The manifest that goes out, or why the index that was found has none for the client.
    pub fn manifest(&self) -> Result<&Manifest, PullError> {
        match &self.child {
            Ok(Some(child)) => Ok(child),
            Ok(None) => Ok(&self.found.manifest),
            Err(problem) => Err(problem.clone()),
        }
    }

    /// The manifest that the reference names: the one that goes out, or the index of the child that
    /// does.
    pub fn found(&self) -> &Manifest {
        &self.found.manifest
    }

    /// The child that goes out in place of its index, and why.
    pub fn child(&self) -> Option<(&Manifest, &Substitution)> {
        let child = self.child.as_ref().ok()?.as_ref()?;
        Some((child, self.substitution.as_ref()?))
    }

    /// Whether the answer is the manifest that was found, and no child is missing in its place.
    pub fn is_found_itself(&self) -> bool {
        matches!(self.child, Ok(None))
    }

    /// The platform an index is to be answered for, if it is not to go out whole.
    pub fn substitution(&self) -> Option<&Substitution> {
        self.substitution.as_ref()
    }

    /// The upstream's mode, which decides whose hints may turn an index into a child.
    pub fn mode(&self) -> Resolve {
        self.mode
    }

    /// Where the manifest that was found came from.
    pub fn outcome(&self) -> Outcome {
        self.found.outcome
    }

    /// How long ago the upstream last confirmed the tag, where it could not do so now.
    pub fn age(&self) -> Option<Duration> {
        self.found.age
    }
}
