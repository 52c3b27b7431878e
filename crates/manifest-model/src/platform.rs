//! Platforms: the machine an image is for.
//!
//! Clients spell the same platform differently, so every comparison is between normalised
//! platforms. The rules are containerd's.

mod host;
pub(crate) mod matcher;
mod normal;
mod parse;
mod windows;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    error::{ManifestError, ParseError},
    json::{self, Reader, Spelling, Text},
};

/// An operating system and a processor. In JSON its fields have the names of the OCI specification.
///
/// A platform read from JSON keeps its spelling; one made in any other way is normalised.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// The variant of the processor: `v7`. Empty for the common one of `amd64` and `arm64`.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub variant: String,
    /// The version of the operating system, which only Windows has: `10.0.20348.2700`.
    #[serde(
        default,
        deserialize_with = "or_default",
        rename = "os.version",
        skip_serializing_if = "String::is_empty"
    )]
    pub os_version: String,
    /// The features the operating system must have: `win32k`.
    #[serde(
        default,
        deserialize_with = "without_nulls",
        rename = "os.features",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
}

impl Platform {
    /// The platform in containerd's canonical spelling: lower case, `amd64` for `x86_64`, no
    /// variant for the common one of `amd64` and `arm64`, `v7` for an `arm` without one, sorted
    /// features without repetition.
    ///
    /// A missing operating system becomes `linux`, as it does for a containerd on Linux.
    #[must_use]
    pub fn normalized(&self) -> Self {
        normal::normalize(self)
    }

    /// Parses the form for paths, with `-` in place of `/`: `linux-arm64-v8`.
    pub fn from_path_form(form: &str) -> Result<Self, ParseError> {
        parse::path_form(form)
    }

    /// Whether a form for paths names a known operating system and a known architecture, as
    /// `linux-arm64` does and `arm64` does not. Its variant, if it has one, is a number.
    pub fn is_full_path_form(form: &str) -> bool {
        parse::is_full_path_form(form)
    }

    /// The platform in the configuration of an image, normalised.
    pub(crate) fn of_config(config_json: &[u8]) -> Result<Self, ManifestError> {
        let text = String::from_utf8_lossy(config_json);
        let platform = Self::from_json(&mut Reader::new(Spelling::Last), &text);
        Ok(platform
            .map_err(|()| ManifestError::NotObject)?
            .normalized())
    }

    /// Reads the platform of a descriptor, or of a configuration, which has more fields. It keeps
    /// its spelling.
    pub(crate) fn from_json(reader: &mut Reader, text: &str) -> Result<Self, ()> {
        let fields = ["os", "architecture", "variant", "os.version", "os.features"];
        let [os, architecture, variant, os_version, os_features] = reader.object(text, fields)?;
        let text = |raw| json::text(raw, "platform").map_err(|_| ());
        let features: Vec<Option<Text>> =
            json::field(os_features, "os.features").map_err(|_| ())?;
        Ok(Self {
            os: text(os)?,
            architecture: text(architecture)?,
            variant: text(variant)?,
            os_version: text(os_version)?,
            os_features: features
                .into_iter()
                .flatten()
                .map(|Text(name)| name)
                .collect(),
        })
    }

    /// Whether it is `unknown/unknown`, which builders give to entries that are no images.
    pub fn is_unknown(&self) -> bool {
        let unknown = |word: &str| word.eq_ignore_ascii_case("unknown");
        unknown(&self.os) && unknown(&self.architecture)
    }

    /// Whether containerd knows its normalised architecture.
    pub fn has_known_architecture(&self) -> bool {
        parse::is_architecture(&self.normalized().architecture)
    }

    /// The platform of the machine this program runs on. An x86-64 has the level of its processor:
    /// `linux/amd64/v3`.
    pub fn host() -> Self {
        host::host()
    }
}

/// A `null` counts as absent.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A `null` counts as absent, for the list as for its elements.
fn without_nulls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let features: Vec<Option<String>> = or_default(deserializer)?;
    Ok(features.into_iter().flatten().collect())
}

/// containerd's form of the normalised platform: `linux/arm/v7`, `linux(+erofs)/amd64`,
/// `windows(10.0.20348+win32k)/amd64`.
impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let normal = self.normalized();
        formatter.write_str(&normal.os)?;
        parse::write_options(&normal, formatter)?;
        for part in [&normal.architecture, &normal.variant] {
            if !part.is_empty() {
                write!(formatter, "/{part}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
