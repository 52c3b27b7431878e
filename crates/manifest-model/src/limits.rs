//! The bounds on a manifest, below everything else: errors quote them and parsing applies them.

/// The largest manifest, in bytes; registries accept no larger one either.
pub const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;

/// The deepest nesting of indexes. A caller that follows [`Choice::Index`](crate::Choice::Index)
/// stops after this many.
pub const MAX_INDEX_DEPTH: usize = 4;
