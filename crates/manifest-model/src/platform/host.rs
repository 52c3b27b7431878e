//! The platform of this machine, translated from Rust's names to the OCI specification's.

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
        variant: level().into(),
        ..Platform::default()
    };
    platform.normalized()
}

/// The level of an x86-64 processor (System V ABI, "Micro-architecture levels"). Rust cannot detect
/// all features of a level, but every processor that has these has the others too.
#[cfg(target_arch = "x86_64")]
fn level() -> &'static str {
    use std::arch::is_x86_feature_detected as has;
    let v2 = has!("cmpxchg16b") && has!("popcnt") && has!("sse4.2") && has!("ssse3");
    let v3 = v2
        && has!("avx2")
        && has!("bmi1")
        && has!("bmi2")
        && has!("f16c")
        && has!("fma")
        && has!("lzcnt")
        && has!("movbe");
    let v4 = v3
        && has!("avx512f")
        && has!("avx512bw")
        && has!("avx512cd")
        && has!("avx512dq")
        && has!("avx512vl");
    match (v2, v3, v4) {
        (_, _, true) => "v4",
        (_, true, _) => "v3",
        (true, _, _) => "v2",
        _ => "",
    }
}

/// Other processors get their common variant, because a newer one is not detected.
#[cfg(not(target_arch = "x86_64"))]
fn level() -> &'static str {
    ""
}
