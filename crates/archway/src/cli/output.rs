//! The outcome of a command: its texts and its exit code, or the failure that explains why it has
//! none.

use std::{
    error::Error,
    io::{self, IsTerminal, Write as _},
    process::ExitCode,
};

use client::ClientError;
use config::ConfigError;
use protocol::error_chain::ErrorChain;
use serde::Serialize;
use server::crypto;
use tokio::runtime;

/// How a command ends; the values are the exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, and the answer is yes.
    Success = 0,
    /// The answer is no, something is damaged or absent, or no answer came.
    Negative = 1,
    /// The command line, the configuration or the cache directory cannot be used. clap exits with
    /// the same code.
    Unusable = 2,
}

/// The async runtime of a command did not start, for want of threads or file descriptors.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the runtime")]
pub(super) struct RuntimeError(#[source] pub(super) io::Error);

/// Runs a command's questions on this thread. HTTP clients are made in there: before, the process has
/// no cryptography.
pub(super) fn in_runtime<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    crypto::install();
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::negative(&RuntimeError(error)))?;
    let answer = runtime.block_on(work);
    // The answer must not wait for a look-up of a name that hangs.
    runtime.shutdown_background();
    answer
}

/// The texts of a command and its exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandOutput {
    /// For standard output.
    pub out: String,
    /// For standard error.
    pub err: String,
    /// The exit code.
    pub exit: Exit,
}

/// Why a command could not do its work: the text for standard error and the exit code.
///
/// The errors that many commands meet become one by `From`, so that commands can use `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    text: String,
    exit: Exit,
}

impl CommandOutput {
    /// The output of a command that succeeded.
    pub(crate) fn success(out: String) -> Self {
        Self::new(out, Exit::Success)
    }

    /// An output without notes on standard error.
    pub(crate) fn new(out: String, exit: Exit) -> Self {
        Self {
            out,
            err: String::new(),
            exit,
        }
    }

    /// The same output with notes on standard error.
    #[must_use]
    pub(crate) fn with_notes(self, err: String) -> Self {
        Self { err, ..self }
    }

    /// Prints the texts and returns the exit code. A closed pipe is no failure: its reader has read
    /// enough. An empty text touches nothing: the log may hold standard error while its reader
    /// stalls, and a process that has nothing more to print must still end.
    pub(crate) fn deliver(&self) -> ExitCode {
        if !self.out.is_empty() {
            let _ = io::stdout().lock().write_all(self.out.as_bytes());
        }
        if !self.err.is_empty() {
            let _ = io::stderr().lock().write_all(self.err.as_bytes());
        }
        (self.exit as u8).into()
    }
}

impl Failure {
    /// No answer came, or the machine lacks what the command needs.
    pub(crate) fn negative(error: &(dyn Error + 'static)) -> Self {
        Self::new(error, Exit::Negative)
    }

    /// The command makes no sense here: its arguments, the configuration or the directory.
    pub(crate) fn unusable(error: &(dyn Error + 'static)) -> Self {
        Self::new(error, Exit::Unusable)
    }

    /// The mistakes of a configuration, as somebody else has found them.
    pub(crate) fn invalid(mistakes: &str) -> Self {
        Self {
            text: format!("{mistakes}\n"),
            exit: Exit::Unusable,
        }
    }

    fn new(error: &(dyn Error + 'static), exit: Exit) -> Self {
        Self {
            text: format!("error: {}\n", ErrorChain(error)),
            exit,
        }
    }

    /// The same failure with advice below it.
    #[must_use]
    pub(crate) fn with_advice(mut self, advice: &str) -> Self {
        self.text.push_str(advice);
        self.text.push('\n');
        self
    }
}

impl From<Failure> for CommandOutput {
    fn from(failure: Failure) -> Self {
        Self::new(String::new(), failure.exit).with_notes(failure.text)
    }
}

/// The mistakes of a configuration, in colour where standard error is a terminal.
impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let text = match &error {
            ConfigError::Invalid(report) if is_coloured() => report.coloured(),
            ConfigError::Invalid(report) => report.to_string(),
            ConfigError::Read { .. } => return Self::unusable(&error),
        };
        Self {
            text: text + "\n",
            exit: Exit::Unusable,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NotArchway { .. } => Self::unusable(&error),
            _ => Self::negative(&error),
        }
    }
}

/// Whether standard error takes colours: a terminal, unless `NO_COLOR` is set (no-color.org).
fn is_coloured() -> bool {
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !is_refused && io::stderr().is_terminal()
}

/// Indented JSON with a line end.
pub(super) fn json(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value);
    text.expect("texts and numbers always serialise") + "\n"
}

/// A number with its noun: `1 tag`, `2 tags`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
