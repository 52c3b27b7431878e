//! The commands about images, one file per command: they ask a running Archway or an upstream, and
//! print the answer.

mod explain;
mod inspect;
mod list;
mod ready;
mod report;
mod resolve;
mod warm;

use clap::{Args, Subcommand, ValueEnum};
use protocol::error_chain::ErrorChain;
use serde::Serialize;
use url::Url;

use super::{Answer, ConfigFile};
use crate::client::{ClientError, Server};

/// What to do with images.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Say why a running Archway answers a name as it does
    Explain(explain::Explain),
    /// Show the platforms behind a name, and how much of each is cached
    Inspect(inspect::Inspect),
    /// Print the digest a name means for a platform
    Resolve(resolve::Resolve),
    /// List what is cached, per platform
    Images(list::Images),
    /// End with 0 if an image is cached whole for a platform, else with 1
    Ready(ready::Ready),
    /// List the cached images that lack a platform you need
    Report(report::Report),
    /// Pull images through a running Archway, for the platforms that will be asked for
    Warm(warm::Warm),
}

/// The Archway to ask.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// Its registry listener; by default one of the configuration, on this machine: plain, and
    /// without a platform of its own, where there is such a one
    #[arg(long, value_name = "URL")]
    server: Option<Url>,
    /// Its admin listener; by default that of the configuration, on this machine
    #[arg(long, value_name = "URL")]
    admin: Option<Url>,
    #[command(flatten)]
    config: ConfigFile,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

impl ImageCommand {
    /// Runs the command; prints nothing itself.
    pub(crate) async fn run(&self) -> Answer {
        let place = match self {
            Self::Explain(command) => &command.place,
            Self::Inspect(command) => &command.place,
            Self::Resolve(command) => &command.place,
            Self::Images(command) => &command.place,
            Self::Ready(command) => &command.place,
            Self::Report(command) => &command.place,
            Self::Warm(command) => &command.place,
        };
        let config = match place.config.load() {
            Ok(config) => config,
            Err(error) => return Answer::unusable(&error),
        };
        let server = Server::new(&config, place.server.as_ref(), place.admin.as_ref());
        let answered = match self {
            Self::Explain(command) => command.run(&server).await,
            Self::Inspect(command) => command.run(&config, &server).await,
            Self::Resolve(command) => command.run(&config, &server).await,
            Self::Images(command) => command.run(&server).await,
            Self::Ready(command) => command.run(&server).await,
            Self::Report(command) => command.run(&server).await,
            Self::Warm(command) => Ok(command.run(&server).await),
        };
        answered.unwrap_or_else(|error| Answer::failed(&ErrorChain(&error)))
    }
}

fn json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("plain data always serialises");
    text.push('\n');
    text
}

/// The text, or a dash for `None`.
fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

type Outcome = Result<Answer, ClientError>;
