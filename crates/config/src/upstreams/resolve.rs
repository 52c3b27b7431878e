//! `resolve`: when an index is answered by one of its children.

use crate::{
    field::{Meaning, Wrong},
    suggest,
};

/// When a tag that is an index is answered by one of its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolve {
    /// Only when the client's `Accept` takes no index.
    Needed,
    /// Then, or when the client's platform was said explicitly.
    Explicit,
    /// Then, or when there is any hint but a default.
    Always,
}

impl Resolve {
    const ALL: [Resolve; 3] = [Resolve::Needed, Resolve::Explicit, Resolve::Always];

    /// The mode's word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Resolve::Needed => "needed",
            Resolve::Explicit => "explicit",
            Resolve::Always => "always",
        }
    }
}

impl Meaning for Resolve {
    const WHAT: &'static str = "one of the modes";
    const EXAMPLE: &'static str = "\"explicit\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        suggest::word(text, Resolve::ALL.map(|mode| (mode.word(), mode)))
    }
}
