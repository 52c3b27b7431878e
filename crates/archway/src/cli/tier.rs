//! `archway tier`: work on the bucket of the tier.

use clap::Args;
use config::TierConfig;
use terminal::table::size;

use super::{
    commands::commands,
    config_file::ConfigFile,
    output::{CommandOutput, Failure, counted, in_runtime},
};

commands! {
    /// Clean up the bucket that replicas share
    pub(crate) enum TierCommand {
        Clean(Clean),
    }
}

/// A configuration without a tier.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has no [tier]")]
pub(super) struct NoTier;

/// The tier of the configuration, with the key that it has: its own, or that of the replicas.
pub(super) fn of(file: &ConfigFile) -> Result<TierConfig, Failure> {
    let config = file.load()?;
    let their_key = config.replicas.and_then(|replicas| replicas.secret_file);
    let tier = config.tier.map(|tier| TierConfig {
        key_file: tier.key_file.or(their_key),
        ..tier
    });
    tier.ok_or_else(|| {
        Failure::unusable(&NoTier).with_advice("name the file that has it with --config FILE")
    })
}

const HELP: &str = "\
Lists the bucket, deletes the blobs that no replica has used for longest until the rest is below
`tier.max_size`, and writes the inventory. What was used within a day stays. Running replicas do the
same once a day; doing it at the same time does no harm.

Exit codes: 0 done; 1 the bucket failed; 2 the configuration is not valid or has no tier.

Example:
  archway tier clean --config /etc/archway.toml";

/// Delete what is above the size of the tier now, and write its inventory
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Clean {
    #[command(flatten)]
    file: ConfigFile,
}

impl Clean {
    fn run(&self) -> Result<CommandOutput, Failure> {
        let config = of(&self.file)?;
        let cleaned = in_runtime(async {
            let cleaned = ::tier::clean_now(&config).await;
            cleaned.map_err(|error| {
                Failure::negative(&error).with_advice("archway doctor tier says more")
            })
        })?;
        Ok(CommandOutput::success(format!(
            "deleted {}, {}\n{} of {} are left\n",
            counted(cleaned.deleted, "blob"),
            size(cleaned.freed),
            counted(cleaned.blobs, "blob"),
            size(cleaned.bytes),
        )))
    }
}
