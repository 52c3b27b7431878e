//! `archway doctor tier`: whether the bucket of the tier does what is asked of it.

use clap::Args;

use crate::cli::{
    config_file::ConfigFile,
    output::{CommandOutput, Exit, Failure, in_runtime},
    tier,
};

const HELP: &str = "\
Writes an object, reads a range of it, writes one in parts, lists and deletes them, and says what is
to be known of the bucket: versions, its region, the lifecycle rule it should have. Ends within 20 s.

Exit codes: 0 no check failed; 1 a check failed; 2 the configuration is not valid or has no tier.

Example:
  archway doctor tier --config /etc/archway.toml";

/// Check the bucket of the tier: credentials, writes, reads, deletes
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct DoctorTier {
    #[command(flatten)]
    file: ConfigFile,
}

impl DoctorTier {
    pub(super) fn run(&self) -> Result<CommandOutput, Failure> {
        let config = tier::of(&self.file)?;
        let report = in_runtime(async { Ok(::tier::examine(&config).await) })?;
        let exit = if report.is_good() {
            Exit::Success
        } else {
            Exit::Negative
        };
        Ok(CommandOutput::new(report.to_string(), exit))
    }
}
