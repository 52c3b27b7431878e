//! `archway cache`: listing, verifying and cleaning up a cache directory.
//!
//! Exit codes are the same for all: 0 is success, 1 is a finding (a damaged file, a name that is
//! not there), 2 is a command that could not be carried out.

mod du;
mod gc;
mod ls;
mod progress;
mod rm;
mod verify;

use std::{path::PathBuf, time::SystemTime};

use cache::{
    CacheError,
    inspect::{Directory, Kind, Unread},
};
use clap::{Args, Subcommand, ValueEnum};
use protocol::error_chain::ErrorChain;
use proxy::inventory::seconds;
use serde::Serialize;

use super::{Answer, ConfigFile, UNUSABLE};
use crate::cli::table;

/// The exit code for a finding, which the answer describes.
const FOUND: u8 = 1;

/// What to do with a cache directory.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Hash every blob again and say which are damaged; works while a server runs
    Verify(verify::Verify),
    /// List the blobs, or the tags
    Ls(ls::Ls),
    /// Say what takes how much
    Du(du::Du),
    /// Remove blobs and images; no server may run
    Rm(rm::Rm),
    /// Drop what is left over in the index, and downloads nobody goes on with; no server may run
    Gc(gc::Gc),
}

impl CacheCommand {
    /// Runs the command. Only `verify`, which takes long, prints anything itself.
    pub(crate) fn run(&self) -> Answer {
        let answer = match self {
            Self::Verify(command) => command.run(),
            Self::Ls(command) => command.run(),
            Self::Du(command) => command.run(),
            Self::Rm(command) => command.run(),
            Self::Gc(command) => command.run(),
        };
        answer.unwrap_or_else(|failed| failed)
    }
}

/// The directory, and the form of the answer.
#[derive(Debug, Args)]
struct Place {
    #[command(flatten)]
    config: ConfigFile,
    /// The cache directory; without it, the one of the configuration
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    path: Option<PathBuf>,
    /// How to print
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Table,
    /// For programs
    Json,
}

/// The selected directory.
struct Found {
    directory: Directory,
    /// The bound on its size; unknown if only the directory was named.
    max_size: Option<u64>,
}

impl Place {
    fn find(&self) -> Result<Found, Answer> {
        let (path, max_size) = if let Some(path) = &self.path {
            (path.clone(), None)
        } else {
            let config = self
                .config
                .load()
                .map_err(|error| Answer::unusable(&error))?;
            (config.cache.path, Some(config.cache.max_size))
        };
        let directory = Directory::at(&path).map_err(|error| refused(&error))?;
        Ok(Found {
            directory,
            max_size,
        })
    }
}

/// The answer of a command that could not be carried out.
fn refused(error: &(dyn std::error::Error + 'static)) -> Answer {
    Answer {
        out: String::new(),
        err: format!("error: {}\n", ErrorChain(error)),
        code: UNUSABLE,
    }
}

/// As [`refused`], for a command that needs the directory to itself.
fn not_ours(error: &CacheError) -> Answer {
    let mut answer = refused(error);
    if let CacheError::Locked { path } = error {
        answer.err = format!(
            "error: a server is running on {}, and this needs the directory to itself\n\
             stop it first (`systemctl stop archway`, or whatever runs it); `verify` and `verify --repair` work beside it\n",
            path.display()
        );
    }
    answer
}

/// A note about the gaps in an answer that was made without the index.
fn note(unread: Option<&Unread>, missing: &str) -> String {
    unread.map_or_else(String::new, |unread| {
        format!("note: {}; {missing}\n", ErrorChain(unread))
    })
}

fn json(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value);
    text.expect("plain structures of strings and numbers") + "\n"
}

/// A time as text. A file may claim to be from before 1970.
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

fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
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
