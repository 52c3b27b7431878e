//! containerd's written form of a platform: `os[(os.version)]/arch[/variant]`.

use std::str::FromStr;

use super::{Platform, normal::DEFAULT_OS};
use crate::error::{ParseError, Word};

/// The longest written form; real ones have fewer than 40 characters.
const MAX_PLATFORM_CHARS: usize = 200;

/// The operating systems containerd knows. One alone is no platform.
const OPERATING_SYSTEMS: [&str; 17] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];

/// The architectures containerd knows. One alone is a platform of Linux.
const ARCHITECTURES: [&str; 24] = [
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "arm64",
    "arm64be",
    "armbe",
    "loong64",
    "mips",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "mipsle",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

/// Parses `os[(os.version)]/arch[/variant]`, or a known architecture alone, which means Linux. The
/// result is normalised.
impl FromStr for Platform {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self, ParseError> {
        let wrong = |problem| ParseError::new(Word::Platform, problem, s);
        if s.len() > MAX_PLATFORM_CHARS {
            return Err(wrong("longer than 200 characters"));
        }
        let mut parts = s.split('/');
        let first = parts.next().unwrap_or_default();
        let (os, os_version) =
            system(first).ok_or_else(|| wrong("not os or os(version) before the first slash"))?;
        let Some(architecture) = parts.next() else {
            return alone(first, os).map_err(wrong);
        };
        let variant = parts.next();
        if parts.next().is_some() {
            return Err(wrong("more than os, architecture and variant"));
        }
        if !is_word(architecture) || !variant.is_none_or(is_word) {
            return Err(wrong(
                "an empty part or an invalid character after the first slash",
            ));
        }
        let variant = variant.unwrap_or_default();
        let platform = Self {
            os: os.into(),
            architecture: architecture.into(),
            variant: variant.into(),
            os_version: os_version.into(),
            os_features: Vec::new(),
        };
        Ok(platform.normalized())
    }
}

/// Parses a form with dashes in place of slashes. The dashes of a version stay, and so does the one
/// of `x86-64`, which is one name.
pub(super) fn path_form(form: &str) -> Result<Platform, ParseError> {
    if form.contains('/') {
        return Err(ParseError::new(
            Word::Platform,
            "a slash in the form for paths, which has dashes instead",
            form,
        ));
    }
    let (system, rest) = form.split_at(form.rfind(')').map_or(0, |at| at + 1));
    let rest = rest.replace("x86-64", "x86_64").replace('-', "/");
    let written = format!("{system}{rest}");
    written
        .parse()
        .map_err(|e: ParseError| ParseError::new(Word::Platform, e.problem(), form))
}

/// Reads a form without a slash, which must be an architecture; `os` is the form without a version.
fn alone(word: &str, os: &str) -> Result<Platform, &'static str> {
    let architecture = Platform {
        os: DEFAULT_OS.into(),
        architecture: word.into(),
        ..Platform::default()
    };
    let architecture = architecture.normalized();
    let os = Platform {
        os: os.into(),
        ..Platform::default()
    }
    .normalized()
    .os;
    if is_architecture(&architecture.architecture) {
        Ok(architecture)
    } else if OPERATING_SYSTEMS.contains(&os.as_str()) {
        Err("an operating system without an architecture")
    } else {
        Err("neither os/architecture nor a known architecture")
    }
}

/// Whether containerd knows the architecture `name`, which must be normalised.
pub(super) fn is_architecture(name: &str) -> bool {
    ARCHITECTURES.contains(&name)
}

/// Splits `os` or `os(version)`; the version may be empty.
fn system(part: &str) -> Option<(&str, &str)> {
    let (os, version) = match part.split_once('(') {
        Some((os, rest)) => (os, rest.strip_suffix(')')?),
        None => (part, ""),
    };
    let is_name = |s: &str| {
        s.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    let named = !os.is_empty() && is_name(os);
    (named && (version.is_empty() || is_word(version))).then_some((os, version))
}

/// Whether `s` is one or more letters, digits, underscores, dots and dashes.
fn is_word(s: &str) -> bool {
    !s.is_empty()
        && s.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}
