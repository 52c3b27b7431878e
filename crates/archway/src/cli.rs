//! The command line: the table of commands. Each command has a file of its own with its flags, its
//! help page and its work.
//!
//! A command returns a [`CommandOutput`], or a [`Failure`](output::Failure) that becomes one; it
//! does not print.

mod bundle;
mod cache;
mod client_config;
mod commands;
mod completions;
mod config;
mod config_file;
mod control;
mod doctor;
mod image_list;
mod images;
mod inventory;
mod man;
mod output;
mod removed;
mod serve;
mod tier;

use clap::Parser;

use self::commands::commands;
pub(crate) use self::output::CommandOutput;

/// A pull-through proxy for OCI registries that caches images and serves each client its platform
#[derive(Debug, Parser)]
#[command(name = "archway", version = env!("ARCHWAY_VERSION"), arg_required_else_help = true, after_help = EXAMPLES)]
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
        #[command(subcommand)]
        Bundle(bundle::BundleCommand),
        #[command(name = "inventory")]
        Inventory(inventory::WriteInventory),
        Explain(images::explain::Explain),
        Inspect(images::inspect::Inspect),
        Resolve(images::resolve::Resolve),
        Images(images::list::Images),
        Ready(images::ready::Ready),
        Report(images::report::Report),
        Warm(images::warm::Warm),
        Wanted(images::wanted::ListWanted),
        Replicas(images::replicas::ListReplicas),
        Fills(images::fills::ListFills),
        Upstreams(images::upstreams::ListUpstreams),
        Evictions(images::evictions::ListEvictions),
        Top(images::top::Top),
        Events(images::events::FollowEvents),
        Refresh(control::refresh::Refresh),
        Reload(control::reload::Reload),
        Rm(control::rm::Rm),
        ClientConfig(client_config::ClientConfig),
        #[command(subcommand)]
        Tier(tier::TierCommand),
        #[command(subcommand)]
        Doctor(doctor::DoctorCommand),
        Completions(completions::Completions),
        Man(man::ManualPages),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command as Clap, CommandFactory};

    use super::*;

    /// Every command without commands below it, with its whole name.
    fn leaves() -> Vec<(String, Clap)> {
        let mut root = Cli::command();
        root.build();
        let mut found = Vec::new();
        add_leaves(&root, &mut found);
        found
    }

    fn add_leaves(command: &Clap, found: &mut Vec<(String, Clap)>) {
        let below: Vec<_> = command
            .get_subcommands()
            .filter(|one| one.get_name() != "help")
            .collect();
        if below.is_empty() {
            let name = command.get_display_name().unwrap_or_default();
            found.push((name.to_owned(), command.clone()));
        }
        for command in below {
            add_leaves(command, found);
        }
    }

    #[test]
    fn every_command_says_what_it_does_what_its_words_mean_and_how_it_ends() {
        for (name, command) in leaves() {
            assert!(
                command.get_about().is_some(),
                "{name} says nothing about itself"
            );
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{name} {argument} has no help"
                );
            }
            let end = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                end.contains("Exit codes:"),
                "{name} does not list its exit codes"
            );
            assert!(end.contains("\n  archway "), "{name} has no example");
        }
    }

    #[test]
    fn every_form_of_an_answer_is_called_the_same_everywhere() {
        for (name, command) in leaves() {
            let Some(output) = command.get_arguments().find(|one| one.get_id() == "output") else {
                continue;
            };
            let values = output.get_possible_values();
            let values: Vec<_> = values
                .iter()
                .map(clap::builder::PossibleValue::get_name)
                .collect();
            let known: [&[&str]; 4] = [
                &[],
                &["text", "json"],
                &["text", "wide", "json"],
                &["text", "json", "markdown"],
            ];
            assert!(known.contains(&&values[..]), "{name} -o {values:?}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
