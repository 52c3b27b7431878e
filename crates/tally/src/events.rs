//! What happens with upstreams, as it is counted, and the names that labels have for it.

/// What an endpoint answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What it was asked for.
    Ok,
    /// That it has no such thing.
    Absent,
    /// That we may not have it.
    Refused,
    /// That we ask too often.
    Throttled,
    /// Nothing, in time or at all.
    Unreachable,
    /// An error of its own, or nonsense.
    Broken,
    /// It was not asked, because its circuit is open.
    Resting,
}

impl Answer {
    pub(crate) const NAMES: [&'static str; 7] = [
        "ok",
        "absent",
        "refused",
        "throttled",
        "unreachable",
        "broken",
        "resting",
    ];
}

/// What a request asks for, as its time is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A manifest, with its bytes.
    Manifest,
    /// Where a tag points, or whether it still does.
    Check,
    /// A blob, or a part of it.
    Blob,
    /// Tags or referrers.
    List,
    /// A token, of its realm.
    Token,
}

impl Asked {
    pub(crate) const NAMES: [&'static str; 5] = ["manifest", "check", "blob", "list", "token"];
}

/// The bodies that bytes are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A manifest.
    Manifest,
    /// A blob.
    Blob,
    /// Tags or referrers.
    List,
    /// The body of an error.
    Error,
}

impl Received {
    pub(crate) const NAMES: [&'static str; 4] = ["manifest", "blob", "list", "error"];
}
