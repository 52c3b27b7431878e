//! What a platform hint asks for: one platform, or the index as it is.

use std::fmt;

use manifest_model::{ParseError, Platform};

/// The word that asks for the index itself.
pub const ALL: &str = "all";

/// What a source of hints asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The index itself: no substitution.
    All,
    /// This platform's manifest.
    Platform(Platform),
}

impl Wish {
    /// `all`, or a platform in containerd's form.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text == ALL {
            Ok(Self::All)
        } else {
            text.parse().map(Self::Platform)
        }
    }

    /// `all`, or a platform in the form that is one part of a path.
    pub fn from_path_form(text: &str) -> Result<Self, ParseError> {
        if text == ALL {
            Ok(Self::All)
        } else {
            Platform::from_path_form(text).map(Self::Platform)
        }
    }

    /// The platform wished for, if it is one.
    pub fn platform(&self) -> Option<&Platform> {
        match self {
            Self::All => None,
            Self::Platform(platform) => Some(platform),
        }
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => formatter.write_str(ALL),
            Self::Platform(platform) => platform.fmt(formatter),
        }
    }
}
