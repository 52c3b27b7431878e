//! A table of commands: one line each, from which the parser and the call of the command are made.
//!
//! The help page stays with the command: clap takes it from the type in the line.

/// Declares an enum of commands; each has a type with `fn run(&self) -> Result<CommandOutput,
/// Failure>`.
macro_rules! commands {
    (
        $(#[$table:meta])*
        $visibility:vis enum $name:ident {
            $( $(#[$line:meta])* $command:ident($arguments:ty), )+
        }
    ) => {
        #[derive(Debug, clap::Subcommand)]
        $(#[$table])*
        $visibility enum $name {
            $( $(#[$line])* $command(Box<$arguments>), )+
        }

        impl $name {
            /// Runs the command.
            $visibility fn run(
                &self,
            ) -> Result<$crate::cli::output::CommandOutput, $crate::cli::output::Failure> {
                match self {
                    $( Self::$command(command) => command.run(), )+
                }
            }
        }
    };
}

pub(super) use commands;
