//! What the commands about images share: the flags that name a running Archway, and the way to
//! ask it.

pub(super) mod events;
pub(super) mod evictions;
pub(super) mod explain;
pub(super) mod fills;
pub(super) mod inspect;
pub(super) mod list;
pub(super) mod ready;
pub(super) mod replicas;
pub(super) mod report;
pub(super) mod resolve;
pub(super) mod top;
pub(super) mod upstreams;
pub(super) mod wanted;
pub(super) mod warm;

use clap::Args;
use client::Server;
use config::Config;
use terminal::format::{Format, TableFormat};
use url::Url;

use super::{
    config_file::ConfigFile,
    output::{CommandOutput, Failure, in_runtime},
};

/// The running Archway that a command asks.
#[derive(Debug, Args)]
struct ServerArgs {
    #[arg(
        help = "Registry listener to ask, for example http://127.0.0.1:5000 [default: from the configuration]",
        long,
        value_name = "URL",
        value_parser = url
    )]
    server: Option<Url>,
    #[arg(
        help = "Admin listener to ask, for example http://127.0.0.1:9464 [default: from the configuration]",
        long,
        value_name = "URL",
        value_parser = url
    )]
    admin: Option<Url>,
    #[command(flatten)]
    config: ConfigFile,
}

impl ServerArgs {
    /// Loads the configuration and runs one question to its Archway, on this thread.
    fn ask(
        &self,
        question: impl AsyncFnOnce(&Config, &Server) -> Result<CommandOutput, Failure>,
    ) -> Result<CommandOutput, Failure> {
        let config = self.config.load()?;
        in_runtime(async {
            let server = Server::new(&config, self.server.as_ref(), self.admin.as_ref());
            question(&config, &server).await
        })
    }
}

/// A URL, or the host and port of one on plain HTTP.
pub(super) fn url(text: &str) -> Result<Url, url::ParseError> {
    if text.contains("://") {
        text.parse()
    } else {
        format!("http://{text}").parse()
    }
}

/// The text of a cell; a dash where there is none.
fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}
