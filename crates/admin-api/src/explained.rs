//! `GET /_archway/v1/explain`: what a client would get for a name, and why. Nothing is asked upstream
//! and nothing is stored.

use manifest_model::Digest;
use protocol::explanation::Explanation;
use serde::{Deserialize, Serialize};

/// What a client would get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedName {
    /// The name in full, as it was understood.
    pub name: String,
    /// The request that was explained: its path, and what the client would send.
    pub path: String,
    /// The status that the client would get; none if only the upstream can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The answer, if it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<ExplainedAnswer>,
    /// The decision, as the header `Archway-Explain` has it; none if the name leads nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
    /// Why there is no answer, in English.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A manifest that would be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedAnswer {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub size: u64,
}
