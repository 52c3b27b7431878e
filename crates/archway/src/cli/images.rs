//! What the commands about images share: the flags that name a running Archway, and the way to
//! ask it.

pub(super) mod explain;
pub(super) mod inspect;
pub(super) mod list;
pub(super) mod ready;
pub(super) mod report;
pub(super) mod resolve;
pub(super) mod warm;

use clap::{Args, ValueEnum};
use config::Config;
use server::crypto;
use tokio::runtime;
use url::Url;

use super::{
    config_file::ConfigFile,
    output::{CommandOutput, Failure, RuntimeError},
};
use crate::client::Server;

/// The running Archway that a command asks.
#[derive(Debug, Args)]
struct ServerArgs {
    #[arg(
        help = "Registry listener to ask, for example http://127.0.0.1:5000 [default: from the configuration]",
        long,
        value_name = "URL"
    )]
    server: Option<Url>,
    #[arg(
        help = "Admin listener to ask, for example http://127.0.0.1:9464 [default: from the configuration]",
        long,
        value_name = "URL"
    )]
    admin: Option<Url>,
    #[command(flatten)]
    config: ConfigFile,
}

/// The output format of a command about images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text for people
    #[default]
    Text,
    /// JSON for programs
    Json,
}

impl ServerArgs {
    /// Loads the configuration and runs one question to its Archway, on this thread.
    fn ask(
        &self,
        question: impl AsyncFnOnce(&Config, &Server) -> Result<CommandOutput, Failure>,
    ) -> Result<CommandOutput, Failure> {
        crypto::install();
        let config = self.config.load()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::negative(&RuntimeError(error)))?;
        let answer = runtime.block_on(async {
            let server = Server::new(&config, self.server.as_ref(), self.admin.as_ref());
            question(&config, &server).await
        });
        // The answer must not wait for a look-up of a name that hangs.
        runtime.shutdown_background();
        answer
    }
}

/// The text of a cell; a dash where there is none.
fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}
