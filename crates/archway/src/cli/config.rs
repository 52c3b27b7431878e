//! `archway config`: the commands that only look at a configuration.

use std::{fmt::Write as _, path::PathBuf};

use clap::Args;
use config::{Config, Reach, Source};
use protocol::host::HostPattern;

use super::{
    commands::commands,
    config_file::ConfigFile,
    output::{CommandOutput, Failure, counted},
};

commands! {
    /// Check or print a configuration without running anything
    pub(crate) enum ConfigCommand {
        Check(CheckConfig),
        Print(PrintConfig),
    }
}

/// Check a configuration file and show every mistake in it
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 the file is valid; 2 it is not, or cannot be read.

Examples:
  archway config check /etc/archway.toml
  archway config check --no-files archway.toml    # where its certificates and passwords are not''")]
pub(crate) struct CheckConfig {
    #[command(flatten)]
    file: NamedFile,
    /// Look at no other file: certificates and passwords may be on another machine
    #[arg(long)]
    no_files: bool,
}

/// Print the effective configuration as TOML, with all defaults and without secrets
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 printed; 2 the file is not valid, or cannot be read.

Example:
  archway config print /etc/archway.toml")]
pub(crate) struct PrintConfig {
    #[command(flatten)]
    file: NamedFile,
}

/// A configuration, named by an argument or by `--config`.
#[derive(Debug, Args)]
struct NamedFile {
    /// TOML configuration; the same as --config FILE
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigFile,
}

impl NamedFile {
    fn source(&self) -> Source {
        let reach = Reach::AsConfigured;
        match &self.file {
            Some(file) => Source::new(Some(file.clone()), reach),
            None => self.config.source(reach),
        }
    }
}

impl CheckConfig {
    fn run(&self) -> Result<CommandOutput, Failure> {
        let source = self.file.source();
        let source = if self.no_files {
            source.alone()
        } else {
            source
        };
        let config = source.load()?.config;
        let output = CommandOutput::success(summary(&source.name(), &config));
        Ok(output.with_notes(notes(&config)))
    }
}

impl PrintConfig {
    fn run(&self) -> Result<CommandOutput, Failure> {
        let config = self.file.source().load()?.config;
        Ok(CommandOutput::success(config.to_toml()))
    }
}

/// What is valid and will surprise somebody.
fn notes(config: &Config) -> String {
    let mut notes = String::new();
    for host in config.upstreams.patterns().filter_map(HostPattern::exact) {
        if host.as_str() != host.name() {
            let _ = writeln!(
                notes,
                "note: docker takes no port within a name, so it cannot pull from [upstream.\"{host}\"] \
                 through a path: call it by a name such as [upstream.\"reg.internal\"], with endpoints = \
                 [\"https://{host}\"]"
            );
        }
    }
    for exposure in config.exposures() {
        let _ = writeln!(notes, "note: {exposure}");
    }
    notes
}

fn summary(file: &str, config: &Config) -> String {
    let upstreams = if config.upstreams.are_built_in() {
        "the built-in upstreams".to_owned()
    } else {
        counted(config.upstreams.patterns().count() as u64, "upstream")
    };
    let offline = if config.upstreams.are_offline() {
        ", offline".to_owned()
    } else {
        match config.upstreams.offline_patterns().count() {
            0 => String::new(),
            some => format!(", {some} offline"),
        }
    };
    format!(
        "{file}: ok, {}, {upstreams}{offline}\n",
        counted(config.listeners.len() as u64, "listener")
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command, output::Exit};

    fn run(arguments: &[&str]) -> CommandOutput {
        let all = ["archway", "config"].iter().chain(arguments);
        match Cli::try_parse_from(all).unwrap().command {
            Command::Config(command) => command.run().unwrap_or_else(CommandOutput::from),
            _ => panic!("`config` was asked for"),
        }
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, text).unwrap();
        file
    }

    #[test]
    fn check_counts_what_it_found() {
        let cases = [
            ("", "1 listener, the built-in upstreams"),
            ("[upstream.\"a\"]", "1 listener, 1 upstream"),
            (
                "offline = true",
                "1 listener, the built-in upstreams, offline",
            ),
            (
                "upstream = { a = { offline = true }, b = {} }",
                "1 listener, 2 upstreams, 1 offline",
            ),
            (
                "upstream = { a = {}, b = {} }\nlistener = [{ address = \"[::1]:1\" }, { address = \"[::1]:2\" }]",
                "2 listeners, 2 upstreams",
            ),
        ];
        for (text, expected) in cases {
            let file = file(text);
            let path = file.path().to_str().unwrap();
            assert_eq!(
                run(&["check", path]),
                CommandOutput::success(format!("{path}: ok, {expected}\n"))
            );
        }
    }

    #[test]
    fn check_shows_the_mistake_and_ends_with_2() {
        let file = file("[cahce]");
        let output = run(&["check", file.path().to_str().unwrap()]);
        assert_eq!((output.exit as u8, output.out.as_str()), (2, ""));
        assert!(output.err.contains("unknown key `cahce`"), "{}", output.err);
    }

    #[test]
    fn a_file_that_cannot_be_read_ends_with_2_and_the_reason() {
        let output = run(&["check", "/nowhere/archway.toml"]);
        assert_eq!(output.exit, Exit::Unusable);
        let expected =
            "error: cannot read the configuration /nowhere/archway.toml: No such file or directory";
        assert!(output.err.starts_with(expected), "{}", output.err);
    }

    #[test]
    fn print_gives_a_file_that_can_be_checked() {
        let first = file("[cache]\nmax_size = \"1GiB\"");
        let printed = run(&["print", "--config", first.path().to_str().unwrap()]);
        assert!(
            printed.out.contains("max_size = \"1GiB\"\n"),
            "{}",
            printed.out
        );
        let second = file(&printed.out);
        let checked = run(&["check", second.path().to_str().unwrap()]);
        assert_eq!(checked.exit as u8, 0);
    }
}
