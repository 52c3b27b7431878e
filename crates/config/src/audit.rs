//! `[audit]`: who got which manifest, in a file of its own.

use std::path::PathBuf;

use serde::Serialize;

use crate::{show, table::Table, units::Size};

const DEFAULT_ROTATE: Size = Size(100 * 1024 * 1024);
const DEFAULT_KEEP: usize = 4;
const MAX_KEEP: usize = 1000;

/// The file that has a line for each manifest answered, and its bounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditConfig {
    /// The file; without one nothing is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The size at which a new file is begun; never zero.
    #[serde(serialize_with = "show::size")]
    pub rotate: u64,
    /// How many full files are kept.
    pub keep: usize,
}

impl AuditConfig {
    pub(crate) fn read(table: &mut Table<'_>) -> Self {
        Self {
            path: table.take("path"),
            rotate: table.or("rotate", DEFAULT_ROTATE).0,
            keep: table.count("keep", 0..=MAX_KEEP, DEFAULT_KEEP),
        }
    }
}
