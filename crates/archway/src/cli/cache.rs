//! `archway cache`: the commands for a cache directory, and the flags and errors they share.

mod du;
mod gc;
mod ls;
mod prepare;
mod rm;
mod verify;

use std::{path::PathBuf, time::SystemTime};

use cache::{
    CacheError,
    inspect::{Directory, Kind, NotACache, Unread},
};
use clap::Args;
use client::{ControlSocket, ImportSocket};
use config::{Config, ConfigError};
use protocol::error_chain::ErrorChain;
use server::crypto;
use terminal::{format::Format, table};

use super::{commands::commands, config_file::ConfigFile, output::Failure};

commands! {
    /// List, check and clean up a cache directory
    #[command(after_help = EXIT_CODES)]
    pub(crate) enum CacheCommand {
        Verify(verify::Verify),
        Ls(ls::Ls),
        Du(du::Du),
        Rm(rm::RemoveStored),
        Gc(gc::Gc),
        Prepare(prepare::Prepare),
    }
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 a blob is damaged or a name is not in the cache; 2 the command could not run.";

/// The cache directory of a command and the format of its output.
#[derive(Debug, Args)]
struct DirectoryArgs {
    #[command(flatten)]
    place: CachePlace,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
}

/// The cache directory of a command.
#[derive(Debug, Args)]
pub(super) struct CachePlace {
    #[command(flatten)]
    config: ConfigFile,
    #[arg(
        help = "Cache directory [default: `cache.path` of the configuration]",
        long,
        value_name = "DIR",
        conflicts_with = "config"
    )]
    path: Option<PathBuf>,
}

/// A directory that holds a cache.
pub(super) struct CacheDirectory {
    pub(super) directory: Directory,
    /// Its size limit in bytes; unknown with `--path`, which names no configuration.
    max_size: Option<u64>,
}

impl DirectoryArgs {
    fn open(&self) -> Result<CacheDirectory, Failure> {
        self.place.open()
    }
}

impl CachePlace {
    /// The configuration that says what a name means: with `--path`, which names none, the defaults.
    fn configuration(&self) -> Result<Config, ConfigError> {
        match &self.path {
            Some(_) => Config::embedded(),
            None => self.config.load(),
        }
    }

    /// The configuration of the server that runs on the directory, if one does.
    pub(super) fn running_config(&self) -> Result<Option<Config>, Failure> {
        if self.path.is_some() {
            return Ok(None);
        }
        let config = self.config.load()?;
        Ok(ImportSocket::find(&config)?.map(|_| config))
    }

    /// The socket of the server that runs on the directory, if one does.
    pub(super) fn running(&self) -> Result<Option<ControlSocket>, Failure> {
        let Some(config) = self.running_config()? else {
            return Ok(None);
        };
        // An HTTP client is made below.
        crypto::install();
        Ok(Some(ControlSocket::of(&config)?))
    }

    pub(super) fn open(&self) -> Result<CacheDirectory, Failure> {
        let (path, max_size) = if let Some(path) = &self.path {
            (path.clone(), None)
        } else {
            let cache = self.config.load()?.cache;
            (cache.path, Some(cache.max_size))
        };
        let directory = Directory::at(&path)?;
        let max_size = match max_size {
            Some(max_size) => Some(max_size.of(directory.file_system()?.total)),
            None => None,
        };
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
    table::time(table::seconds(time))
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
