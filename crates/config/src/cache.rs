//! `[cache]`: where stored content lies, and its bounds.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    problem::Problem,
    show,
    space::{Capacity, Space},
    table::Table,
    units::{self, Size},
};

const DEFAULT_MAX_SIZE: Capacity = Capacity(Space::Bytes(50 << 30));
/// The default of `low_water` is a twentieth below the cap: not every new blob has to evict again.
const DEFAULT_SLACK: u64 = 20;
/// So small a share that a cache on a small volume caches at all.
const DEFAULT_MIN_FREE: Space = Space::ShareUpTo(5, 256 << 20);
const DEFAULT_FILLS: usize = 64;
const MAX_FILLS: usize = 4096;
const DEFAULT_CALLS: usize = 128;
const MAX_CALLS: usize = 4096;
const DEFAULT_EXTRA_CONNECTIONS: usize = 64;
const MAX_EXTRA_CONNECTIONS: usize = 4096;
const DEFAULT_OPEN_FILES: usize = 1024;
const MAX_OPEN_FILES: usize = 1_000_000;
/// The default directory of a user without a home, as in a container or a system service.
const SYSTEM_DIR: &str = "/var/cache/archway";

/// Where stored content lies, and how much of it there may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CacheConfig {
    /// The directory; a relative one is relative to the working directory.
    #[serde(serialize_with = "show::path")]
    pub path: PathBuf,
    /// The stored content beyond which the least recently used is evicted; never zero.
    #[serde(serialize_with = "show::text")]
    pub max_size: Space,
    /// Bytes at which eviction stops. Unset only where `max_size` is a share.
    #[serde(serialize_with = "show::optional_size")]
    pub low_water: Option<u64>,
    /// The room of the file system that is left to others.
    #[serde(serialize_with = "show::text")]
    pub min_free: Space,
    /// How many downloads may run at once; never zero.
    pub max_fills: usize,
    /// How many calls for all else than downloads may be under way at once; never zero.
    pub max_calls: usize,
    /// How many connections all downloads together may have beside the first of each.
    pub max_extra_connections: usize,
    /// How many files are kept open for the next reader; never zero.
    pub max_open_files: usize,
}

/// The bounds of a cache in bytes, on its own file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheBounds {
    /// Stored content beyond which the least recently used is evicted.
    pub max_size: u64,
    /// Where eviction stops; never above `max_size`.
    pub low_water: u64,
    /// Bytes of the file system that are left to others.
    pub min_free: u64,
}

impl CacheConfig {
    /// The bounds on a file system of `total` bytes.
    pub fn bounds(&self, total: u64) -> CacheBounds {
        let max_size = self.max_size.of(total);
        let low_water = self
            .low_water
            .unwrap_or_else(|| default_low_water(max_size));
        CacheBounds {
            max_size,
            low_water: low_water.min(max_size),
            min_free: self.min_free.of(total),
        }
    }

    pub(crate) fn read(table: &mut Table<'_>) -> Self {
        let path = table.take("path");
        let Capacity(max_size) = table.or("max_size", DEFAULT_MAX_SIZE);
        Self {
            path: path.unwrap_or_else(users_directory),
            max_size,
            low_water: low_water(table, max_size),
            min_free: table.or("min_free", DEFAULT_MIN_FREE),
            max_fills: table.count("max_fills", 1..=MAX_FILLS, DEFAULT_FILLS),
            max_calls: table.count("max_calls", 1..=MAX_CALLS, DEFAULT_CALLS),
            max_extra_connections: table.count(
                "max_extra_connections",
                0..=MAX_EXTRA_CONNECTIONS,
                DEFAULT_EXTRA_CONNECTIONS,
            ),
            max_open_files: table.count("max_open_files", 1..=MAX_OPEN_FILES, DEFAULT_OPEN_FILES),
        }
    }
}

fn default_low_water(max_size: u64) -> u64 {
    max_size - max_size / DEFAULT_SLACK
}

fn low_water(table: &mut Table<'_>, max_size: Space) -> Option<u64> {
    let max_bytes = match max_size {
        Space::Bytes(bytes) => Some(bytes),
        Space::Share(_) | Space::ShareUpTo(..) => None,
    };
    let default = max_bytes.map(default_low_water);
    let Some(field) = table.spanned::<Size>("low_water") else {
        return default;
    };
    let (span, Size(low_water)) = (field.span(), field.into_inner());
    if let Some(max_size) = max_bytes.filter(|max_size| low_water > *max_size) {
        let problem = Problem::new(span, "`low_water` is above `max_size`")
            .label("eviction would never reach this");
        let max_size = units::size(max_size);
        let help = format!("`max_size` is \"{max_size}\": set a size below that");
        table.problems.add(problem.help(help));
        return default;
    }
    Some(low_water)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn bounds_that_are_shares_follow_the_file_system() {
        let parse = |text: &str| Config::parse("cache.toml", text).unwrap().cache;
        let default = parse("").bounds(48 << 20);
        assert_eq!(
            (default.max_size, default.min_free),
            (50 << 30, (48 << 20) / 100 * 5)
        );
        assert_eq!(parse("").bounds(1 << 40).min_free, 256 << 20);
        let shares = parse("[cache]\nmax_size = \"20%\"\nmin_free = \"10%\"");
        let bounds = shares.bounds(1000);
        assert_eq!(
            (bounds.max_size, bounds.low_water, bounds.min_free),
            (200, 190, 100)
        );
        let low = parse("[cache]\nmax_size = \"20%\"\nlow_water = \"1GiB\"");
        assert_eq!(low.bounds(1000).low_water, 200, "never above the size");
    }

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
