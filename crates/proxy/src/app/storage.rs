//! The cache that serving stands on: how it is opened, and what it may take of its disk.

use std::{
    mem, thread,
    time::{Duration, Instant},
};

use cache::{Cache, CacheError, Options, inspect::FileSystem};
use config::{CacheConfig, Config};
use tracing::{info, warn};

/// How often a cache that another process has is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Opens the cache, and says its bounds. Blocks, for `wait` while another process has it.
pub(super) fn open(config: &Config, wait: Duration) -> Result<Cache, CacheError> {
    let disk = FileSystem::of(&config.cache.path)?;
    let options = cache_options(&config.cache, disk);
    let cache = when_free(&options, wait)?;
    tell_bounds(&cache, &options, disk);
    Ok(cache)
}

/// The cache, once whoever has it has left it: the process that this one replaces.
fn when_free(options: &Options, wait: Duration) -> Result<Cache, CacheError> {
    let (began, mut has_said) = (Instant::now(), false);
    loop {
        match Cache::open(options) {
            Err(CacheError::Locked { path }) if began.elapsed() < wait => {
                if !mem::replace(&mut has_said, true) {
                    let path = path.display();
                    info!(%path, ?wait, "waiting for another process to leave the cache");
                }
                thread::sleep(LOOK_AGAIN);
            }
            opened => return opened,
        }
    }
}

/// How to open the cache of a configuration whose directory is on `disk`.
pub fn cache_options(config: &CacheConfig, disk: FileSystem) -> Options {
    let bounds = config.bounds(disk.total);
    Options {
        path: config.path.clone(),
        max_size: bounds.max_size,
        low_water: bounds.low_water,
        min_free: bounds.min_free,
        anew: false,
        max_open_files: config.max_open_files,
    }
}

/// Says what the cache may take, and warns where that is nothing.
fn tell_bounds(cache: &Cache, options: &Options, disk: FileSystem) {
    let (max_size, min_free) = (options.max_size, options.min_free);
    let (stored, free, total) = (cache.usage().bytes, disk.free, disk.total);
    info!(
        max_size,
        min_free, stored, free, total, "the bounds of the cache"
    );
    if free.saturating_add(stored) <= min_free {
        warn!(
            min_free,
            stored,
            free,
            total,
            "cache.min_free leaves the cache no room: nothing will be stored until space is freed"
        );
    }
}
