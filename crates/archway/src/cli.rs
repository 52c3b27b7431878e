//! The command line: the table of commands. Each command has a file of its own with its flags, its
//! help page and its work.
//!
//! A command returns a [`CommandOutput`], or a [`Failure`](output::Failure) that becomes one; it
//! does not print.

mod cache;
mod commands;
mod config;
mod config_file;
mod doctor;
mod images;
mod output;
mod serve;
mod table;

use clap::Parser;

use self::commands::commands;
pub(crate) use self::output::CommandOutput;

/// A pull-through proxy for OCI registries that caches images and serves each client its platform
#[derive(Debug, Parser)]
#[command(name = "archway", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  archway serve                              # no file needed: loopback, public registries and ECR
  archway serve --config /etc/archway.toml
  docker pull 127.0.0.1:5000/ghcr.io/OWNER/IMAGE           # pulls an image of ghcr.io through it";

commands! {
    /// The commands, in the order of the help page.
    pub(crate) enum Command {
        Serve(serve::Serve),
        #[command(subcommand)]
        Config(config::ConfigCommand),
        #[command(subcommand)]
        Cache(cache::CacheCommand),
        Explain(images::explain::Explain),
        Inspect(images::inspect::Inspect),
        Resolve(images::resolve::Resolve),
        Images(images::list::Images),
        Ready(images::ready::Ready),
        Report(images::report::Report),
        Warm(images::warm::Warm),
        #[command(subcommand)]
        Doctor(doctor::DoctorCommand),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
