//! containerd's canonical spelling of a platform.

use super::Platform;

/// The operating system of a platform that names none. containerd uses that of its own machine.
pub(super) const DEFAULT_OS: &str = "linux";

pub(super) fn normalize(platform: &Platform) -> Platform {
    let (architecture, variant) = architecture(&platform.architecture, &platform.variant);
    let mut os_features = platform.os_features.clone();
    os_features.sort();
    os_features.dedup();
    Platform {
        os: os(&platform.os),
        architecture,
        variant,
        os_version: platform.os_version.clone(),
        os_features,
    }
}

fn os(os: &str) -> String {
    match os.to_ascii_lowercase().as_str() {
        "" => DEFAULT_OS.into(),
        "macos" => "darwin".into(),
        other => other.into(),
    }
}

/// Normalises architecture and variant together, because some architecture names imply a variant.
fn architecture(architecture: &str, variant: &str) -> (String, String) {
    let architecture = architecture.to_ascii_lowercase();
    let variant = variant.to_ascii_lowercase();
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", other) => ("amd64", other),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64" | "arm64", other) => ("arm64", other),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    };
    (architecture.into(), variant.into())
}
