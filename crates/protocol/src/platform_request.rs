//! The value of a platform hint: one platform, or `all` for the index as it is.

use std::fmt;

use manifest_model::{ParseError, Platform};

/// The word for the index itself.
pub const ALL: &str = "all";

/// The platform a hint asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlatformRequest {
    /// The index itself, without substitution.
    All,
    /// The manifest of this platform.
    Platform(Platform),
}

impl PlatformRequest {
    /// Reads `all`, or a platform in containerd's form: `linux/arm64`.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text == ALL {
            Ok(Self::All)
        } else {
            text.parse().map(Self::Platform)
        }
    }

    /// Reads `all`, or a platform in the form for paths: `linux-arm64`.
    pub fn from_path_form(text: &str) -> Result<Self, ParseError> {
        if text == ALL {
            Ok(Self::All)
        } else {
            Platform::from_path_form(text).map(Self::Platform)
        }
    }

    /// The platform; `None` for `all`.
    pub fn platform(&self) -> Option<&Platform> {
        match self {
            Self::All => None,
            Self::Platform(platform) => Some(platform),
        }
    }
}

impl fmt::Display for PlatformRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => formatter.write_str(ALL),
            Self::Platform(platform) => platform.fmt(formatter),
        }
    }
}
