//! The command line: its arguments, and the commands that only read the configuration.
//!
//! `main` runs `serve`; every other command returns an `Answer`, so that `Answer::deliver` alone
//! prints.

mod cache;
mod images;
mod table;

use std::{
    error::Error,
    fmt::Write as _,
    io::{self, IsTerminal, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use config::{Config, ConfigError};

pub(crate) use self::{cache::CacheCommand, images::ImageCommand};
use crate::doctor::DoctorCommand;

/// The variable that names the configuration if `--config` does not.
const CONFIG_VARIABLE: &str = "ARCHWAY_CONFIG";
/// The exit code for an unusable configuration, the same as clap's for an unusable command line.
const UNUSABLE: u8 = 2;
/// The exit code if the answer is no, or there is none.
const FAILED: u8 = 1;

/// A pull-through proxy for OCI registries: caches images and picks the platform a client needs.
#[derive(Debug, Parser)]
#[command(name = "archway", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  archway serve                              no file needed: loopback, public registries, ECR
  archway serve --config /etc/archway.toml
  docker pull 127.0.0.1:5000/ghcr.io/OWNER/IMAGE       then pulls an image of ghcr.io through it";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the proxy until it is told to stop (SIGTERM or Ctrl-C).
    #[command(after_help = SERVE_HELP)]
    Serve(ConfigFile),
    /// Look at a configuration without running anything.
    Config {
        /// What to do with it.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Look into a cache directory, check it, clean it up.
    Cache {
        /// What to do with it.
        #[command(subcommand)]
        command: CacheCommand,
    },
    /// Questions about images.
    #[command(flatten)]
    Image(Box<ImageCommand>),
    /// Look at what Archway depends on, and say what is wrong.
    Doctor {
        /// What to look at.
        #[command(subcommand)]
        command: DoctorCommand,
    },
}

const SERVE_HELP: &str = "\
Without a file every key has its default: registry on 127.0.0.1:5000, admin routes on 127.0.0.1:9464,
cache in $XDG_CACHE_HOME/archway or ~/.cache/archway. `archway config print` shows them all.

Example:
  archway serve --config /etc/archway.toml";

/// The configuration to use.
#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// What `--config` named, if it was given.
    #[arg(
        long,
        value_name = "FILE",
        help = "TOML file; without it $ARCHWAY_CONFIG names one, else the defaults hold"
    )]
    pub config: Option<PathBuf>,
}

/// What to do with a configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether a file is valid; if not, show each mistake and end with 2
    #[command(after_help = "Example:\n  archway config check /etc/archway.toml")]
    Check {
        /// TOML file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the effective values as TOML, defaults included, secrets left out
    #[command(after_help = "Example:\n  archway config print --config /etc/archway.toml")]
    Print(ConfigFile),
}

/// The output of a command, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// For standard output.
    pub out: String,
    /// For standard error.
    pub err: String,
    /// The exit code.
    pub code: u8,
}

impl ConfigFile {
    /// Loads the file of `--config`, else of `$ARCHWAY_CONFIG`, else the defaults.
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        let named = std::env::var_os(CONFIG_VARIABLE)
            .filter(|name| !name.is_empty())
            .map(PathBuf::from);
        match self.config.as_ref().or(named.as_ref()) {
            Some(path) => Config::load(path),
            None => Config::embedded(),
        }
    }
}

impl ConfigCommand {
    /// Runs the command; prints nothing itself.
    pub(crate) fn run(&self) -> Answer {
        match self {
            ConfigCommand::Check { file } => match Config::load(file) {
                Ok(config) => Answer::good(summary(file, &config)),
                Err(error) => Answer::unusable(&error),
            },
            ConfigCommand::Print(file) => match file.load() {
                Ok(config) => Answer::good(config.to_toml()),
                Err(error) => Answer::unusable(&error),
            },
        }
    }
}

impl Answer {
    fn good(out: String) -> Answer {
        Answer {
            out,
            err: String::new(),
            code: 0,
        }
    }

    /// A command that got no answer, or that this machine could not run.
    pub(crate) fn failed(reason: &dyn std::fmt::Display) -> Answer {
        Answer {
            out: String::new(),
            err: format!("error: {reason}\n"),
            code: FAILED,
        }
    }

    /// The mistakes in a configuration, in colours if standard error is a terminal. `main` uses it
    /// for `serve` too.
    pub(crate) fn unusable(error: &ConfigError) -> Answer {
        let mut err = match error {
            ConfigError::Invalid(report) if io::stderr().is_terminal() => report.coloured(),
            ConfigError::Invalid(report) => report.to_string(),
            ConfigError::Read { .. } => format!("error: {error}"),
        };
        if let Some(source) = error.source() {
            let _ = write!(err, ": {source}");
        }
        err.push('\n');
        Answer {
            out: String::new(),
            err,
            code: UNUSABLE,
        }
    }

    /// A command line that does not fit this configuration.
    pub(crate) fn misused(reason: &str) -> Answer {
        Answer {
            out: String::new(),
            err: format!("error: {reason}\n"),
            code: UNUSABLE,
        }
    }

    /// Prints it and returns the exit code. A closed pipe is no failure: its reader has read
    /// enough.
    pub(crate) fn deliver(&self) -> ExitCode {
        let _ = io::stdout().lock().write_all(self.out.as_bytes());
        let _ = io::stderr().lock().write_all(self.err.as_bytes());
        self.code.into()
    }
}

fn summary(file: &Path, config: &Config) -> String {
    let upstreams = if config.upstreams.are_built_in() {
        "the built-in upstreams".to_owned()
    } else {
        counted(config.upstreams.patterns().count(), "upstream")
    };
    format!(
        "{}: ok, {}, {upstreams}\n",
        file.display(),
        counted(config.listeners.len(), "listener")
    )
}

fn counted(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn answer(arguments: &[&str]) -> Answer {
        let all = ["archway", "config"].iter().chain(arguments);
        match Cli::try_parse_from(all).unwrap().command {
            Command::Config { command } => command.run(),
            _ => panic!("`config` was asked for"),
        }
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, text).unwrap();
        file
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn check_counts_what_it_found() {
        let cases = [
            ("", "1 listener, the built-in upstreams"),
            ("[upstream.\"a\"]", "1 listener, 1 upstream"),
            (
                "upstream = { a = {}, b = {} }\nlistener = [{ address = \"[::1]:1\" }, { address = \"[::1]:2\" }]",
                "2 listeners, 2 upstreams",
            ),
        ];
        for (text, expected) in cases {
            let file = file(text);
            let path = file.path().to_str().unwrap();
            assert_eq!(
                answer(&["check", path]),
                Answer::good(format!("{path}: ok, {expected}\n"))
            );
        }
    }

    #[test]
    fn check_shows_the_mistake_and_ends_with_2() {
        let file = file("[cahce]");
        let answer = answer(&["check", file.path().to_str().unwrap()]);
        assert_eq!((answer.code, answer.out.as_str()), (2, ""));
        assert!(answer.err.contains("unknown key `cahce`"), "{}", answer.err);
    }

    #[test]
    fn a_file_that_cannot_be_read_ends_with_2_and_the_reason() {
        let answer = answer(&["check", "/nowhere/archway.toml"]);
        assert_eq!(answer.code, 2);
        let expected =
            "error: cannot read the configuration /nowhere/archway.toml: No such file or directory";
        assert!(answer.err.starts_with(expected), "{}", answer.err);
    }

    #[test]
    fn print_gives_a_file_that_can_be_checked() {
        let first = file("[cache]\nmax_size = \"1GiB\"");
        let printed = answer(&["print", "--config", first.path().to_str().unwrap()]);
        assert!(
            printed.out.contains("max_size = \"1GiB\"\n"),
            "{}",
            printed.out
        );
        let second = file(&printed.out);
        assert_eq!(answer(&["check", second.path().to_str().unwrap()]).code, 0);
    }
}
