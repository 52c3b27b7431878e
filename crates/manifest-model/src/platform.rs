//! Platforms: which machine an image is for.
//!
//! Spelling differs between clients, so that every comparison is made between normalised platforms; the rules are those
//! of containerd.

mod host;
pub(crate) mod matcher;
mod normal;
mod order;
mod parse;
mod windows;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::ManifestError;
use crate::json;

/// Which operating system and processor something is for, with the OCI names of its fields in JSON.
///
/// As read from JSON it is as whoever wrote it spelled it; every other way to make one gives a normalised platform.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// The operating system: `linux`.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub os: String,
    /// The processor: `amd64`, `arm64`.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub architecture: String,
    /// Which of the processor's variants: `v7`. Empty for the common one of `amd64` and `arm64`.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub variant: String,
    /// The version of the operating system; only Windows has it: `10.0.20348.2700`.
    #[serde(
        default,
        deserialize_with = "or_default",
        rename = "os.version",
        skip_serializing_if = "String::is_empty"
    )]
    pub os_version: String,
    /// What the operating system has to have: `win32k`.
    #[serde(
        default,
        deserialize_with = "without_nulls",
        rename = "os.features",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
}

impl Platform {
    /// The platform in containerd's canonical spelling: lower case, `amd64` for `x86_64`, no variant for the common one
    /// of `amd64` and `arm64`, `v7` for an `arm` without one, sorted features without repetition.
    ///
    /// Where there is no operating system it is `linux`, as it is to a containerd that runs on Linux.
    #[must_use]
    pub fn normalized(&self) -> Self {
        normal::normalize(self)
    }

    /// Reads the form for paths, where `-` stands for `/`: `linux-arm64-v8`.
    pub fn from_path_form(form: &str) -> Result<Self, crate::ParseError> {
        parse::path_form(form)
    }

    /// The platform an image's configuration is for, normalised.
    pub(crate) fn of_config(config_json: &[u8]) -> Result<Self, ManifestError> {
        let text = std::str::from_utf8(config_json).map_err(|_| ManifestError::NotJson)?;
        let platform: Self = json::object(text).map_err(|()| ManifestError::NotObject)?;
        Ok(platform.normalized())
    }

    /// Whether it is `unknown/unknown`, which builders give to what is not to be run.
    pub fn is_unknown(&self) -> bool {
        let unknown = |word: &str| word.eq_ignore_ascii_case("unknown");
        unknown(&self.os) && unknown(&self.architecture)
    }

    /// Whether its architecture is one that containerd knows, as written in its normalised form.
    pub fn has_known_architecture(&self) -> bool {
        parse::is_architecture(&self.normalized().architecture)
    }

    /// The platform of the machine this program runs on, an x86-64 with the level of its processor: `linux/amd64/v3`.
    pub fn host() -> Self {
        host::host()
    }
}

/// `null` is as good as absent.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// The same for the elements of a list.
fn without_nulls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let features: Vec<Option<String>> = or_default(deserializer)?;
    Ok(features.into_iter().flatten().collect())
}

/// containerd's form of the normalised platform, without its features: `linux/arm/v7`, `windows(10.0.20348)/amd64`.
impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let normal = self.normalized();
        f.write_str(&normal.os)?;
        if !normal.os_version.is_empty() {
            write!(f, "({})", normal.os_version)?;
        }
        for part in [&normal.architecture, &normal.variant] {
            if !part.is_empty() {
                write!(f, "/{part}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
