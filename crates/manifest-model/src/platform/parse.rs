//! containerd's written form of a platform: `os[(os.version+feature...)]/arch[/variant]`.
//!
//! Version and features may be percent-encoded. Where containerd writes them, it encodes what the
//! form itself needs; here all is encoded that could not be read back.

use std::{fmt, str::FromStr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{Platform, normal::DEFAULT_OS};
use crate::error::{ParseError, Word};

/// The longest written form; real ones have fewer than 40 characters.
const MAX_PLATFORM_CHARS: usize = 200;

/// What is percent-encoded in a version or a feature.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-');

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

/// Parses `os[(os.version+feature...)]/arch[/variant]`, or a known architecture alone, which means Linux. The
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
        let System {
            os,
            version,
            features,
        } = System::parse(first).ok_or_else(|| {
            wrong("not os, os(version) or os(version+feature) before the first slash")
        })?;
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
            os_version: version,
            os_features: features,
        };
        Ok(platform.normalized())
    }
}

/// Parses a form with dashes in place of slashes. The dashes of versions and features stay, and so
/// does the one of `x86-64`, which is one name.
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

/// Whether a form for paths names operating system and architecture, both known.
pub(super) fn is_full_path_form(form: &str) -> bool {
    let Ok(platform) = path_form(form) else {
        return false;
    };
    let is_number = |variant: &str| {
        let number = variant.strip_prefix('v').unwrap_or(variant);
        number.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    };
    // The operating system may be one that was left out.
    let first = form.split(['-', '(']).next().unwrap_or_default();
    let named = Platform {
        os: first.into(),
        ..Platform::default()
    };
    OPERATING_SYSTEMS.contains(&named.normalized().os.as_str())
        && is_architecture(&platform.architecture)
        && is_number(&platform.variant)
}

/// Reads a form without a slash, which must be an architecture; `os` is the form without options.
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

/// The part before the first slash.
struct System<'a> {
    os: &'a str,
    version: String,
    features: Vec<String>,
}

impl<'a> System<'a> {
    /// Splits `os`, `os(version)` or `os(version+feature+feature)`; the version may be empty.
    fn parse(part: &'a str) -> Option<Self> {
        let (os, options) = match part.split_once('(') {
            Some((os, rest)) => (os, rest.strip_suffix(')')?),
            None => (part, ""),
        };
        let is_name = |s: &str| {
            s.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        };
        if os.is_empty() || !is_name(os) {
            return None;
        }
        let mut options = options.split('+');
        let version = match options.next()? {
            "" => String::new(),
            version => decoded(version)?,
        };
        let features = options.map(decoded).collect::<Option<_>>()?;
        Some(Self {
            os,
            version,
            features,
        })
    }
}

/// Decodes a version or a feature, which must not be empty. containerd takes any bytes; here they
/// must be a text without control characters, because it goes out in headers and log lines.
fn decoded(option: &str) -> Option<String> {
    let is_written = |b: u8| is_word_byte(b) || b == b'%';
    let is_escape = |rest: &str| {
        let hex = rest.as_bytes().get(..2);
        hex.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    };
    if option.is_empty()
        || !option.bytes().all(is_written)
        || !option.split('%').skip(1).all(is_escape)
    {
        return None;
    }
    let text = percent_decode_str(option).decode_utf8().ok()?;
    (!text.contains(char::is_control)).then(|| text.into_owned())
}

/// Writes `(version+feature...)`, or nothing where there is neither. The features are sorted.
pub(super) fn write_options(
    platform: &Platform,
    formatter: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let encoded = |text| utf8_percent_encode(text, ENCODED);
    let named = || platform.os_features.iter().filter(|name| !name.is_empty());
    if platform.os_version.is_empty() && named().next().is_none() {
        return Ok(());
    }
    write!(formatter, "({}", encoded(&platform.os_version))?;
    for feature in named() {
        write!(formatter, "+{}", encoded(feature))?;
    }
    formatter.write_str(")")
}

/// Whether `s` is one or more letters, digits, underscores, dots and dashes.
fn is_word(s: &str) -> bool {
    !s.is_empty() && s.bytes().all(is_word_byte)
}

fn is_word_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')
}
