//! Where an answer came from.

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
