//! `serve --bundle`: bundles that are served as they are, and nothing else.

use std::path::{Path, PathBuf};

use airgap::{TakeError, carry, open_all};
use bundle::FileAccess;
use cache::{Allowance, Cache, CacheError, Options, inspect::FileSystem};
use config::Config;
use control::{ImportFlags, ImportsError};
use tracing::info;

use super::storage::cache_options;

/// The folder in that of the cache which has the index of such a run. It begins anew each time: the
/// bundles have all that is in it.
const FOLDER: &str = "served";

/// A cache that reads the blobs of `bundles` where they lie, and has stored nothing. Blocks for a look
/// at all of their manifests.
pub(super) fn open(config: &Config, bundles: &[PathBuf]) -> Result<Cache, ImportsError> {
    let opened = open_all(bundles, &FileAccess::Paths, None)?;
    let flags = ImportFlags {
        // The order is the operator's.
        allowed: vec![Allowance::Older],
        ..ImportFlags::default()
    };
    let rules = flags.rules(config)?;
    let folder = config.cache.path.join(FOLDER);
    let cache = at(config, &folder).map_err(|source| TakeError {
        name: folder.display().to_string(),
        source: source.into(),
    })?;
    for bundle in opened {
        let name = bundle.path.display().to_string();
        match carry(&cache, &rules, bundle) {
            Ok(images) => info!(name, images, "a bundle is served as it is"),
            Err(source) => return Err(TakeError { name, source }.into()),
        }
    }
    Ok(cache)
}

fn at(config: &Config, folder: &Path) -> Result<Cache, CacheError> {
    let disk = FileSystem::of(&config.cache.path)?;
    Cache::open(&Options {
        path: folder.to_owned(),
        anew: true,
        // What lies in bundles takes no room here, and all of it counts.
        max_size: u64::MAX,
        low_water: u64::MAX,
        min_free: 0,
        ..cache_options(&config.cache, disk)
    })
}
