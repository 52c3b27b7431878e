//! What the commands that change a running Archway share: the socket they ask.

pub(super) mod refresh;
pub(super) mod reload;
pub(super) mod rm;

use std::{
    fs,
    path::{self, PathBuf},
};

use clap::Args;
use client::ControlSocket;
use config::{Config, ConfigError};

use super::{
    config_file::ConfigFile,
    output::{CommandOutput, Failure, in_runtime},
};

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
            let socket = match &self.socket {
                // The file may be the one with the mistake.
                Some(path) => ControlSocket::at(path.clone()),
                None => match self.config.load() {
                    Ok(config) => ControlSocket::of(&config)?,
                    Err(error) => self.despite(error)?,
                },
            };
            request(&socket).await
        })
    }

    /// The socket that a file with mistakes names all the same: what becomes of them, the running
    /// Archway decides.
    fn despite(&self, error: ConfigError) -> Result<ControlSocket, Failure> {
        let file = self.config.file();
        let text = file.as_ref().and_then(|file| fs::read_to_string(file).ok());
        if let (Some(file), Some(text)) = (file, text) {
            let file = path::absolute(&file).unwrap_or(file);
            let (cache, socket) = Config::places(&text, &file);
            let socket = ControlSocket::among(&cache, &socket)?;
            if socket.exists() {
                return Ok(socket);
            }
        }
        Err(Failure::from(error).with_advice(NOT_ASKED))
    }
}
