//! How much of a manifest we are willing to look at.

/// The largest manifest, in bytes: what registries accept as well.
pub const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;

/// How many indexes may be nested in one another: whoever descends on [`Choice::Index`](crate::Choice::Index) stops here.
pub const MAX_INDEX_DEPTH: usize = 4;
