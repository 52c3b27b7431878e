//! `GET /_archway/v1/history`: the last 24 hours, a point a minute, since the start at most.

use serde::{Deserialize, Serialize};

use crate::Time;

/// The last 24 hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When the last point was taken.
    pub end: Time,
    /// Seconds from one point to the next.
    pub interval: u64,
    /// The series. All have as many points.
    pub series: Vec<Series>,
}

/// One series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// Its name: `sent`, `received`, `stored`, `evicted`, `requests`, `hits`, `errors`, `stale`,
    /// `upstream_calls`, `upstream_failures`, `fills`, `connections`.
    pub name: String,
    /// What its points count.
    pub unit: Unit,
    /// Whether each point is what was added since the one before, rather than the value of that
    /// moment.
    pub per_interval: bool,
    /// Its points, the oldest first.
    pub points: Vec<u64>,
}

/// What a point counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Requests, answers, downloads, connections.
    Count,
}
