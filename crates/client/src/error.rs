//! Why a question got no answer.

use std::{fmt, io, path::PathBuf};

use manifest_model::{Ambiguity, ManifestError, Platform};
use protocol::host::Host;
use upstream::FetchError;

/// Why a question got no answer: one variant for each remedy.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection failed.
    #[error("no answer from {url}; is Archway running there? Name another URL with {option}")]
    Unreachable {
        /// The URL asked.
        url: String,
        /// The option that names another.
        option: UrlOption,
        /// The failure of the connection.
        source: reqwest::Error,
    },
    /// The configuration has no listener that a client on this machine could find and ask.
    #[error(
        "the configuration has no listener that this machine can ask: one with a fixed port and \
         not behind a load balancer; name a URL with {option}"
    )]
    NoListener {
        /// The option that names a URL.
        option: UrlOption,
    },
    /// The configuration has no socket.
    #[error("`socket` of [admin] is \"off\", so this Archway takes no changes while it runs")]
    NoSocket,
    /// The socket gave no answer.
    #[error("no answer from {}; does Archway run, and are you its user or root?", path.display())]
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// The failure of the connection.
        source: reqwest::Error,
    },
    /// The connection to the socket failed, or broke.
    #[error("no answer from {}; does Archway run, and are you its user or root?", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// The failure.
        source: io::Error,
    },
    /// The server is another program.
    #[error(
        "{url} answers, but not as the registry listener of an Archway does; name that with --server \
         URL (the admin listener is another one)"
    )]
    NotArchway {
        /// The URL asked.
        url: String,
    },
    /// The server answered with an error.
    #[error("{status}: {message}{}", asked_next(next.as_deref()))]
    Refused {
        /// The status.
        status: http::StatusCode,
        /// The message in the error body.
        message: String,
        /// The command that tells more.
        next: Option<String>,
    },
    /// The answer is not what the API promises.
    #[error("the answer of {url} cannot be read")]
    Invalid {
        /// The URL asked.
        url: String,
        /// The flaw.
        source: InvalidAnswer,
    },
    /// The upstream did not give it.
    #[error(transparent)]
    Upstream(#[from] FetchError),
    /// The upstream is not configured.
    #[error("the upstream {0} is not configured; add [upstream.\"{0}\"] to the configuration")]
    NotConfigured(Host),
    /// The image does not exist for the platform.
    #[error("no manifest for {wanted}; there is {}", listed(offered))]
    NothingFits {
        /// The platform asked for.
        wanted: Platform,
        /// The platforms there are.
        offered: Vec<Platform>,
    },
    /// The index can be read in two ways.
    #[error("nothing is chosen by this index")]
    TwoWays(#[from] Ambiguity),
}

impl ClientError {
    /// Whether the server says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == http::StatusCode::NOT_FOUND)
    }
}

/// The flaw of an answer.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAnswer {
    /// The body broke off.
    #[error(transparent)]
    Body(#[from] reqwest::Error),
    /// The body is not the JSON of the admin API.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The body is not a manifest, or not the one with the digest in the header.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A stream ended while its server runs, or with it.
    #[error("it ended")]
    Ended,
    /// A part of a stream does not end.
    #[error("a part of it does not end")]
    TooLong,
    /// The header `Docker-Content-Digest` is absent.
    #[error("it names no digest")]
    NoDigest,
}

/// The option that names a URL of Archway on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlOption {
    /// The registry listener.
    Server,
    /// The admin listener.
    Admin,
}

impl fmt::Display for UrlOption {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Server => "--server URL",
            Self::Admin => "--admin URL",
        })
    }
}

fn asked_next(command: Option<&str>) -> String {
    command.map_or_else(String::new, |command| format!("; next: {command}"))
}

fn listed(offered: &[Platform]) -> String {
    if offered.is_empty() {
        return "none at all".to_owned();
    }
    let names: Vec<_> = offered.iter().map(ToString::to_string).collect();
    names.join(", ")
}
