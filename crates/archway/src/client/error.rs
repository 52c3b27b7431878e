//! Why a command got no answer: one variant per thing the user can do about it.

use protocol::error_chain::ErrorChain;
use upstream::FetchError;

/// Why a command got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nothing answers at this URL.
    #[error("no answer from {url}; is Archway running there? Name another place with {option}", option = .option)]
    Unreachable {
        /// The URL that was asked.
        url: String,
        /// The option that names the place.
        option: &'static str,
        /// Why.
        source: reqwest::Error,
    },
    /// The configuration has no listener that a client on this machine could find and ask.
    #[error(
        "the configuration has no listener that this machine could ask, at a known port and without a load balancer before it; \
         name the place with {option}"
    )]
    Nowhere {
        /// The option that names the place.
        option: &'static str,
    },
    /// It answered with an error.
    #[error("{status}: {message}")]
    Refused {
        /// The status.
        status: http::StatusCode,
        /// The message of its error body.
        message: String,
    },
    /// Its answer cannot be read.
    #[error("the answer of {url} cannot be read: {reason}")]
    Unreadable {
        /// The URL that answered.
        url: String,
        /// The fault in the answer.
        reason: String,
    },
    /// The upstream did not give it.
    #[error("{}", ErrorChain(.0))]
    Upstream(#[from] FetchError),
    /// The upstream is not configured.
    #[error("the upstream {0} is not configured; add [upstream.\"{0}\"] to the configuration")]
    NotConfigured(protocol::host::Host),
    /// Nothing in the image is for the platform.
    #[error("no manifest for {wanted}; there is {offered}")]
    NothingFits {
        /// The platform.
        wanted: manifest_model::Platform,
        /// The platforms that there are.
        offered: String,
    },
}
