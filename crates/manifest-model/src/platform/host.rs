//! The platform of this machine, translated from Rust's names to those of the OCI image specification.

use std::env::consts;

use super::Platform;

pub(super) fn host() -> Platform {
    let architecture = match consts::ARCH {
        "x86" => "386",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "powerpc64" => "ppc64",
        "loongarch64" => "loong64",
        other => other,
    };
    let platform = Platform {
        os: consts::OS.into(),
        architecture: architecture.into(),
        ..Platform::default()
    };
    platform.normalized()
}
