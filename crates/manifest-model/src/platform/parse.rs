//! containerd's written form of a platform: `os[(os.version)]/arch[/variant]`.

use std::str::FromStr;

use super::Platform;
use super::normal::DEFAULT_OS;
use crate::error::{ParseError, Word};

/// The longest form; real ones have fewer than 40 characters.
const MAX_LEN: usize = 200;

/// The operating systems containerd knows, which say nothing on their own.
const SYSTEMS: [&str; 17] = [
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

/// The architectures containerd knows, which mean Linux where they stand alone.
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

/// Reads `os[(os.version)]/arch[/variant]` or a known architecture, which is then Linux's; the result is normalised.
impl FromStr for Platform {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self, ParseError> {
        let wrong = |problem| ParseError::new(Word::Platform, problem, s);
        if s.len() > MAX_LEN {
            return Err(wrong("longer than 200 characters"));
        }
        let mut parts = s.split('/');
        let first = parts.next().unwrap_or_default();
        let (os, os_version) =
            system(first).ok_or_else(|| wrong("not os(version) in front of the first slash"))?;
        let Some(architecture) = parts.next() else {
            return alone(first, os).map_err(wrong);
        };
        let variant = parts.next();
        if parts.next().is_some() {
            return Err(wrong("more than os, architecture and variant"));
        }
        if !is_word(architecture) || !variant.is_none_or(is_word) {
            return Err(wrong(
                "an empty part or a strange character behind the first slash",
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

/// Reads a form without slashes, in which dashes stand for them. Those of a version are left alone, and so is the one of
/// `x86-64`, which is a name and not two.
pub(super) fn path_form(form: &str) -> Result<Platform, ParseError> {
    if form.contains('/') {
        return Err(ParseError::new(
            Word::Platform,
            "a slash in a form that is one part of a path",
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

/// A form without a slash, of which `os` is all or the part before the version: then it must be an architecture.
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
    } else if SYSTEMS.contains(&os.as_str()) {
        Err("an operating system without an architecture")
    } else {
        Err("neither os/architecture nor a known architecture")
    }
}

/// Whether containerd knows the architecture of this name, which is a normalised one.
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
