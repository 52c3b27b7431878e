//! `archway cache`: the commands for a cache directory, and the flags and errors they share.

mod du;
mod gc;
mod ls;
mod progress;
mod rm;
mod verify;

use std::{path::PathBuf, time::SystemTime};

use cache::{
    CacheError,
    inspect::{Directory, Kind, NotACache, Unread},
};
use clap::{Args, ValueEnum};
use protocol::error_chain::ErrorChain;
use proxy::inventory::seconds;

use super::{commands::commands, config_file::ConfigFile, output::Failure, table};

commands! {
    /// List, check and clean up a cache directory
    #[command(after_help = EXIT_CODES)]
    pub(crate) enum CacheCommand {
        Verify(verify::Verify),
        Ls(ls::Ls),
        Du(du::Du),
        Rm(rm::Rm),
        Gc(gc::Gc),
    }
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 a blob is damaged or a name is not in the cache; 2 the command could not run.";

/// The cache directory of a command and the format of its output.
#[derive(Debug, Args)]
struct DirectoryArgs {
    #[command(flatten)]
    config: ConfigFile,
    #[arg(
        help = "Cache directory [default: `cache.path` of the configuration]",
        long,
        value_name = "DIR",
        conflicts_with = "config"
    )]
    path: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: CacheFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CacheFormat {
    /// Table for people
    Table,
    /// JSON for programs
    Json,
}

/// A directory that holds a cache.
struct CacheDirectory {
    directory: Directory,
    /// Its size limit in bytes; unknown with `--path`, which names no configuration.
    max_size: Option<u64>,
}

impl DirectoryArgs {
    fn open(&self) -> Result<CacheDirectory, Failure> {
        let (path, max_size) = if let Some(path) = &self.path {
            (path.clone(), None)
        } else {
            let config = self.config.load()?;
            (config.cache.path, Some(config.cache.max_size))
        };
        let directory = Directory::at(&path)?;
        Ok(CacheDirectory {
            directory,
            max_size,
        })
    }
}

impl From<CacheError> for Failure {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::Locked { path } => Self::unusable(&InUse { path }).with_advice(
                "stop it first, for example with `systemctl stop archway`; `archway cache verify`, \
                 with and without --repair, works while it runs",
            ),
            error => Self::unusable(&error),
        }
    }
}

impl From<NotACache> for Failure {
    fn from(error: NotACache) -> Self {
        Self::unusable(&error)
    }
}

/// A server holds the lock of the directory.
#[derive(Debug, thiserror::Error)]
#[error("a server is running on {}, and this command needs the directory to itself", path.display())]
struct InUse {
    path: PathBuf,
}

/// A note on what an answer lacks because the index could not be read.
fn note(unread: Option<&Unread>, lacking: &str) -> String {
    unread.map_or_else(String::new, |unread| {
        format!("note: {}; {lacking}\n", ErrorChain(unread))
    })
}

/// A time in UTC; one before 1970, which a file may have, is shown as 1970.
fn time(time: SystemTime) -> String {
    table::time(seconds(time))
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Index => "index",
        Kind::Manifest => "manifest",
        Kind::Blob => "blob",
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_file_from_before_1970_has_a_time_too() {
        let early = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(time(early), "1970-01-01T00:00:00Z");
    }
}
