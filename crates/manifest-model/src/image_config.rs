//! The config of an image, read for the one thing a registry proxy needs of it: the platform.

use crate::{Platform, error::ManifestError};

/// An image config, reduced to the platform it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageConfig {
    platform: Platform,
}

impl ImageConfig {
    /// The size limit of a config, in bytes. The caller enforces it while it reads the blob, so
    /// that a manifest cannot make anybody hold a whole layer in memory.
    pub const MAX_BYTES: usize = 8 * 1024 * 1024;

    /// Reads a config blob; all fields but those of the platform are ignored.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let platform = Platform::of_config(bytes)?;
        Ok(Self { platform })
    }

    /// The platform, normalised. `None` where the config names no processor, as that of an
    /// artifact.
    pub fn platform(&self) -> Option<&Platform> {
        Some(&self.platform).filter(|platform| !platform.architecture.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_of_an_image_names_its_platform_normalised() {
        let config = ImageConfig::parse(br#"{"os":"linux","architecture":"aarch64"}"#).unwrap();
        assert_eq!(config.platform(), Some(&"linux/arm64".parse().unwrap()));
    }

    #[test]
    fn the_config_of_an_artifact_names_no_platform() {
        for config in ["{}", r#"{"os":"linux"}"#] {
            let config = ImageConfig::parse(config.as_bytes()).unwrap();
            assert_eq!(config.platform(), None);
        }
        assert_eq!(ImageConfig::parse(b"[]"), Err(ManifestError::NotObject));
    }
}
