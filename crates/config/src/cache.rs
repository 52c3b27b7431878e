//! `[cache]`: where stored content lies and the bounds of it.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    error::{Problem, Problems},
    field::{Count, Field, Meaning, Wrong, or},
    print::Page,
    units::{self, Amount, Size},
};

const DEFAULT_MAX_SIZE: Size = Size(50 << 30);
/// A twentieth below the cap: so that not every new blob has to evict again.
const DEFAULT_SLACK: u64 = 20;
const DEFAULT_MIN_FREE: Amount = Amount(256 << 20);
const DEFAULT_MAX_FILLS: usize = 64;
const MOST_FILLS: usize = 4096;
const DEFAULT_EXTRA_CONNECTIONS: usize = 64;
const MOST_EXTRA_CONNECTIONS: usize = 4096;
const DEFAULT_OPEN_FILES: usize = 1024;
const MOST_OPEN_FILES: usize = 1_000_000;
/// The default place for a user who has no home, as in a container or a system service.
const SYSTEM_DIR: &str = "/var/cache/archway";

/// Where stored content lies and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheConfig {
    /// The directory; a relative one is relative to the working directory.
    pub path: PathBuf,
    /// Bytes of stored content beyond which the least recently used goes; never zero.
    pub max_size: u64,
    /// Where that ends; never above `max_size`.
    pub low_water: u64,
    /// Bytes of the file system that are left to others.
    pub min_free: u64,
    /// How many downloads may run at once; never zero.
    pub max_fills: usize,
    /// How many connections all downloads together may have beside the first of each.
    pub max_extra_connections: usize,
    /// How many files are kept open for the next reader; never zero.
    pub max_open_files: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table such as [cache]")]
pub(super) struct RawCache {
    path: Option<Field<PathBuf>>,
    max_size: Option<Field<Size>>,
    low_water: Option<Field<Size>>,
    min_free: Option<Field<Amount>>,
    max_fills: Option<Count>,
    max_extra_connections: Option<Count>,
    max_open_files: Option<Count>,
}

impl RawCache {
    pub(super) fn resolve(self, problems: &mut Problems) -> CacheConfig {
        let max_size = or(self.max_size, "max_size", DEFAULT_MAX_SIZE, problems).0;
        let count = |count: Option<Count>, key, range, default, problems: &mut Problems| {
            count
                .and_then(|count| count.take(key, range, problems))
                .unwrap_or(default)
        };
        CacheConfig {
            path: self
                .path
                .and_then(|path| path.take("path", problems))
                .unwrap_or_else(users_directory),
            max_size,
            low_water: low_water(self.low_water, max_size, problems),
            min_free: or(self.min_free, "min_free", DEFAULT_MIN_FREE, problems).0,
            max_fills: count(
                self.max_fills,
                "max_fills",
                1..=MOST_FILLS,
                DEFAULT_MAX_FILLS,
                problems,
            ),
            max_extra_connections: count(
                self.max_extra_connections,
                "max_extra_connections",
                0..=MOST_EXTRA_CONNECTIONS,
                DEFAULT_EXTRA_CONNECTIONS,
                problems,
            ),
            max_open_files: count(
                self.max_open_files,
                "max_open_files",
                1..=MOST_OPEN_FILES,
                DEFAULT_OPEN_FILES,
                problems,
            ),
        }
    }
}

fn low_water(field: Option<Field<Size>>, max_size: u64, problems: &mut Problems) -> u64 {
    let default = max_size - max_size / DEFAULT_SLACK;
    let Some(field) = field else { return default };
    let span = field.span.clone();
    let Some(Size(low_water)) = field.take("low_water", problems) else {
        return default;
    };
    if low_water > max_size {
        let problem = Problem::new(span, "`low_water` is above `max_size`")
            .label("nothing would ever be evicted down to this");
        let max_size = units::size(max_size);
        problems.add(problem.help(format!("`max_size` is \"{max_size}\": name less than that")));
        return default;
    }
    low_water
}

impl CacheConfig {
    pub(super) fn print(&self, page: &mut Page) {
        page.header("[cache]");
        page.string("path", &self.path.to_string_lossy());
        page.size("max_size", self.max_size);
        page.size("low_water", self.low_water);
        page.size("min_free", self.min_free);
        page.raw("max_fills", self.max_fills);
        page.raw("max_extra_connections", self.max_extra_connections);
        page.raw("max_open_files", self.max_open_files);
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
