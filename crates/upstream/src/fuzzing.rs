//! Doors for the fuzz targets, which see no more of this crate: built by `cargo fuzz` alone.

pub use login::fuzz_docker_config as docker_config;

pub use crate::auth::fuzz_challenge as challenge;
