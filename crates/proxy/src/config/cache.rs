//! `[cache]`: where stored content lies and the bounds of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::Problems;
use super::field::{Count, Field, Meaning, Wrong, or};
use super::print::Page;
use super::units::Size;

const DEFAULT_MAX_SIZE: Size = Size(50 << 30);
const DEFAULT_MAX_FILLS: usize = 64;
const MOST_FILLS: usize = 4096;
/// The default place for a user who has no home, as in a container or a system service.
const SYSTEM_DIR: &str = "/var/cache/archway";

/// Where stored content lies and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheConfig {
    /// The directory; a relative one is relative to the working directory.
    pub path: PathBuf,
    /// Bytes of stored content beyond which the least recently used goes; never zero.
    pub max_size: u64,
    /// How many downloads may run at once; never zero.
    pub max_fills: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table such as [cache]")]
pub(super) struct RawCache {
    path: Option<Field<PathBuf>>,
    max_size: Option<Field<Size>>,
    max_fills: Option<Count>,
}

impl RawCache {
    pub(super) fn resolve(self, problems: &mut Problems) -> CacheConfig {
        let max_fills = self
            .max_fills
            .and_then(|count| count.take("max_fills", 1..=MOST_FILLS, problems));
        CacheConfig {
            path: self
                .path
                .and_then(|path| path.take("path", problems))
                .unwrap_or_else(users_directory),
            max_size: or(self.max_size, "max_size", DEFAULT_MAX_SIZE, problems).0,
            max_fills: max_fills.unwrap_or(DEFAULT_MAX_FILLS),
        }
    }
}

impl CacheConfig {
    pub(super) fn print(&self, page: &mut Page) {
        page.header("[cache]");
        page.string("path", &self.path.to_string_lossy());
        page.size("max_size", self.max_size);
        page.raw("max_fills", self.max_fills);
    }
}

fn users_directory() -> PathBuf {
    default_directory(std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME"))
}

/// The XDG rule: a relative or empty variable counts as unset.
fn default_directory(xdg_cache_home: Option<OsString>, home: Option<OsString>) -> PathBuf {
    let absolute = |variable: Option<OsString>| {
        variable
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    match (absolute(xdg_cache_home), absolute(home)) {
        (Some(cache), _) => cache.join("archway"),
        (None, Some(home)) if home != Path::new("/") => home.join(".cache/archway"),
        _ => PathBuf::from(SYSTEM_DIR),
    }
}

impl Meaning for PathBuf {
    const WHAT: &'static str = "a path";
    const EXAMPLE: &'static str = "\"/var/lib/archway\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text.is_empty() {
            return Err(Wrong::new("this is empty"));
        }
        if text.contains('\0') {
            return Err(Wrong::new("no path holds a NUL"));
        }
        Ok(PathBuf::from(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_directory_is_the_users_cache_or_the_systems() {
        let cases = [
            (Some("/x"), Some("/home/me"), "/x/archway"),
            (Some(""), Some("/home/me"), "/home/me/.cache/archway"),
            (
                Some("relative"),
                Some("/home/me"),
                "/home/me/.cache/archway",
            ),
            (None, Some("/home/me"), "/home/me/.cache/archway"),
            (None, Some("/"), SYSTEM_DIR),
            (None, None, SYSTEM_DIR),
        ];
        for (xdg, home, expected) in cases {
            let found = default_directory(xdg.map(OsString::from), home.map(OsString::from));
            assert_eq!(found, Path::new(expected), "{xdg:?} {home:?}");
        }
    }
}
