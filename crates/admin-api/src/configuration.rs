//! `GET /_archway/v1/config`: the configuration in force.

use serde::{Deserialize, Serialize};

/// The configuration in force. Secrets are masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The version of the program.
    pub version: String,
    /// All keys with their values, as TOML.
    pub toml: String,
}
