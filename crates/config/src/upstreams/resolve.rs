//! `resolve`: when an index is answered by one of its children.

use serde::Serialize;

use crate::{
    meaning::{Meaning, Wrong},
    suggest,
};

/// When a tag that is an index is answered by one of its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Resolve {
    /// Only when the client's `Accept` takes no index.
    Needed,
    /// Then, or when the client named its platform explicitly.
    Explicit,
    /// Then, or when there is any hint but a default.
    Always,
}

impl Resolve {
    const ALL: [Self; 3] = [Self::Needed, Self::Explicit, Self::Always];

    /// The mode's word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Needed => "needed",
            Self::Explicit => "explicit",
            Self::Always => "always",
        }
    }
}

impl Meaning for Resolve {
    const WHAT: &'static str = "one of the modes";
    const EXAMPLE: &'static str = "\"explicit\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        suggest::word(text, Self::ALL.map(|mode| (mode.word(), mode)))
    }
}
