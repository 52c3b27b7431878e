//! The flags that choose images of an export among those that are stored.

use std::time::{Duration, SystemTime};

use airgap::Chosen;
use cache::inspect::Contents;
use clap::Args;
use humantime::parse_duration;
use protocol::image_name::ImageName;

/// Which of the stored images are carried too.
#[derive(Debug, Args)]
pub(super) struct ChosenFlags {
    #[arg(
        help = "Images stored under names that match, as docker.io/library/*; may be repeated",
        long,
        value_name = "PATTERN"
    )]
    cached: Vec<String>,
    #[arg(
        help = "Stored images that were used within this time, as 30d; with --cached, of those",
        long,
        value_name = "TIME",
        value_parser = parse_duration
    )]
    used: Option<Duration>,
}

impl ChosenFlags {
    /// Whether any are to be chosen.
    pub(super) fn is_given(&self) -> bool {
        !self.cached.is_empty() || self.used.is_some()
    }

    /// The chosen images, by name.
    pub(super) fn of(&self, contents: &Contents) -> Vec<ImageName> {
        // A time before all times leaves none out.
        let since = |used| SystemTime::now().checked_sub(used);
        let since = self
            .used
            .map(|used| since(used).unwrap_or(SystemTime::UNIX_EPOCH));
        let chosen = Chosen {
            patterns: &self.cached,
            used_since: since,
        };
        chosen.of(contents)
    }
}
