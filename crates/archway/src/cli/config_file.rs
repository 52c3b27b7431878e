//! `--config FILE`: the flag of every command that needs a configuration.

use std::{env, path::PathBuf};

use clap::Args;
use config::{Config, ConfigError, Reach, Source};

/// The environment variable that names the configuration where `--config` does not.
const CONFIG_VARIABLE: &str = "ARCHWAY_CONFIG";

/// The configuration of a command.
#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    #[arg(
        help = "TOML configuration [default: the file named by $ARCHWAY_CONFIG, else built-in defaults]",
        long,
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// Loads the file of `--config`, else of `$ARCHWAY_CONFIG`, else the defaults.
    pub(super) fn load(&self) -> Result<Config, ConfigError> {
        Ok(self.source(Reach::AsConfigured).load()?.config)
    }

    /// Where that is read from, where more may be offline than the file says.
    pub(super) fn source(&self, reach: Reach) -> Source {
        Source::new(self.file(), reach)
    }

    /// The file of `--config`, else of `$ARCHWAY_CONFIG`.
    pub(super) fn file(&self) -> Option<PathBuf> {
        let named = env::var_os(CONFIG_VARIABLE)
            .filter(|name| !name.is_empty())
            .map(PathBuf::from);
        self.config.clone().or(named)
    }
}
