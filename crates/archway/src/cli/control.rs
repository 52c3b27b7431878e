//! What the commands that change a running Archway share: the socket they ask.

pub(super) mod refresh;
pub(super) mod reload;
pub(super) mod rm;

use std::path::PathBuf;

use clap::Args;

use super::{
    config_file::ConfigFile,
    output::{CommandOutput, Failure, in_runtime},
};
use crate::client::ControlSocket;

/// The socket of the running Archway that a command changes.
#[derive(Debug, Args)]
struct SocketArgs {
    #[arg(
        help = "Unix socket to ask [default: from the configuration, else admin.sock in the cache]",
        long,
        value_name = "PATH"
    )]
    socket: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigFile,
}

/// Below the mistakes of a file, which may not be those of the running Archway's own.
const NOT_ASKED: &str = "The running Archway was not asked and goes on as before: mend the file, which \
                         tells where its socket is, or name the socket with --socket PATH.";

impl SocketArgs {
    /// Runs requests to the socket, on this thread.
    fn ask(
        &self,
        request: impl AsyncFnOnce(&ControlSocket) -> Result<CommandOutput, Failure>,
    ) -> Result<CommandOutput, Failure> {
        in_runtime(async {
            // The file may be the one with the mistake: it is not read where a socket is named.
            let socket = if let Some(path) = &self.socket {
                ControlSocket::at(path.clone())
            } else {
                let config = self.config.load();
                let config = config.map_err(|error| Failure::from(error).with_advice(NOT_ASKED))?;
                ControlSocket::of(&config)?
            };
            request(&socket).await
        })
    }
}
