//! `archway doctor`: the flags of the checks, their progress and their report.

mod clients;
mod pods;
mod records;
mod tier;

use std::io::{self, Write as _};

use clap::Args;
use doctor::{ImageTag, TargetError};
use protocol::host::Host;
use server::crypto;
use terminal::format::Format;

use super::{
    commands::commands,
    config_file::ConfigFile,
    output::{CommandOutput, Exit, Failure, RuntimeError, json},
};

commands! {
    /// Check the upstreams, the clients or the tier, and report what is wrong with them
    pub(crate) enum DoctorCommand {
        Upstreams(Upstreams),
        Clients(clients::Clients),
        Tier(tier::DoctorTier),
    }
}

/// Check names, certificates, clocks, credentials and rate limits of upstreams
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Upstreams {
    #[command(flatten)]
    file: ConfigFile,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
    /// Tag to ask for, repeatable; with a host it is for that upstream only, else for all of them
    #[arg(long = "image", value_name = "[HOST/]REPO:TAG")]
    images: Vec<ImageTag>,
    #[arg(
        help = "Hosts of the upstreams to check [default: every upstream that is a single host]",
        value_name = "NAME"
    )]
    names: Vec<Host>,
}

const HELP: &str = "\
An upstream that is a pattern is checked only for hosts that NAME or --image names. Where every upstream
is one, and one is of ECR, the registry of this machine's account and region (AWS_REGION) is checked.

With --image, the check asks for the tag by HEAD, reads its manifest, which counts as one pull at
registries with a pull limit, and reads one blob from its second byte to test resumed downloads.

Exit codes: 0 no check failed; 1 a check failed; 2 a name or the configuration is not valid.

Examples:
  archway doctor upstreams
  archway doctor upstreams --config /etc/archway.toml --image docker.io/library/busybox:latest
  archway doctor upstreams -o json 123456789012.dkr.ecr.eu-west-1.amazonaws.com --image team/app:v1";

impl Upstreams {
    fn run(&self) -> Result<CommandOutput, Failure> {
        let config = self.file.load()?;
        crypto::install();
        let runtime = tokio::runtime::Runtime::new()
            .map_err(|error| Failure::negative(&RuntimeError(error)))?;
        let report = runtime.block_on(async {
            let targets = doctor::targets_or_own(&config, &self.names, &self.images).await?;
            Ok(doctor::examine(&config, &targets, progress).await)
        });
        let report = report.map_err(|error: TargetError| Failure::unusable(&error))?;
        // A look-up of a name that hangs was reported; the report must not wait for it.
        runtime.shutdown_background();
        let out = match self.output {
            Format::Text => report.to_string(),
            Format::Json => json(&report.to_json()),
        };
        let exit = if report.is_good() {
            Exit::Success
        } else {
            Exit::Negative
        };
        Ok(CommandOutput::new(out, exit))
    }
}

/// Prints a line for each upstream as soon as its checks are done. A closed standard error is no
/// failure.
fn progress(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
