//! `archway completions`: what a shell needs to complete commands, flags and their values.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{
    Cli,
    output::{CommandOutput, Failure},
};

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 printed; 2 there is no such shell.

Examples:
  archway completions bash > /etc/bash_completion.d/archway
  archway completions zsh > /usr/local/share/zsh/site-functions/_archway
  archway completions fish > ~/.config/fish/completions/archway.fish")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    #[expect(clippy::unnecessary_wraps, reason = "every command has this form")]
    pub(super) fn run(&self) -> Result<CommandOutput, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "archway", &mut script);
        let script = String::from_utf8_lossy(&script);
        Ok(CommandOutput::success(script.into_owned()))
    }
}
