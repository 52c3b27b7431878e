//! Which platform a client is: who may say so, and who is believed.
//!
//! `SOURCES` is the order of trust, one line per source; each source is a small module of its own. Nothing a hint says ever
//! changes what is fetched or stored.

mod address;
mod header;
mod listener;
mod path;
mod query;
mod user_agent;
mod virtual_host;

use std::{fmt, net::IpAddr};

use config::PlatformConfig;
use http::HeaderMap;
use manifest_model::ParseError;
use protocol::host::Host;
pub use protocol::platform_request::PlatformRequest;

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `?platform=`
    Query,
    /// `Archway-Platform:`
    Header,
    /// `/platform/linux-arm64/`
    Path,
    /// The listener's `platform`.
    Listener,
    /// `platform.hosts`
    VirtualHost,
    /// What dockerd and CRI-O say of themselves.
    UserAgent,
    /// `platform.addresses`
    Address,
    /// The upstream's `platform`, or `platform.default`.
    Default,
}

impl Source {
    /// Whether the client or the operator said so on purpose. Implicit sources know who asks, not what for.
    pub fn is_explicit(self) -> bool {
        match self {
            Self::Query | Self::Header | Self::Path | Self::Listener | Self::VirtualHost => true,
            Self::UserAgent | Self::Address | Self::Default => false,
        }
    }

    /// The source's name in headers, logs and errors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Header => "header",
            Self::Path => "path",
            Self::Listener => "listener",
            Self::VirtualHost => "host",
            Self::UserAgent => "user-agent",
            Self::Address => "address",
            Self::Default => "default",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A wish and who had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Who said so.
    pub source: Source,
    /// What was said.
    pub wish: PlatformRequest,
}

/// Why a request's hints cannot be followed: a 400.
#[derive(Debug, thiserror::Error)]
pub enum HintError {
    /// A source named something that is no platform.
    #[error("the {from} names no platform: {source}")]
    Invalid {
        /// Who.
        from: Source,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Two explicit sources disagree.
    #[error("the {} asks for {}, the {} for {}: remove one of them", .first.source, .first.wish, .second.source, .second.wish)]
    Conflict {
        /// The one that is trusted more.
        first: Box<Hint>,
        /// The other.
        second: Box<Hint>,
    },
}

/// Everything of a request that may tell its platform.
#[derive(Clone, Copy, Debug)]
pub struct Clues<'a> {
    /// The values of `platform` in the query, decoded.
    pub query: &'a [String],
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The platform in the path, in its path form.
    pub path: Option<&'a str>,
    /// The listener's wish.
    pub listener: Option<&'a PlatformRequest>,
    /// The name under which the client knows us.
    pub host: Option<&'a Host>,
    /// The client's address: the connection's, or the one a trusted proxy has named.
    pub peer: IpAddr,
    /// The configured hosts and addresses.
    pub config: &'a PlatformConfig,
}

/// What a source module offers.
enum Ask {
    /// What the client wrote: any number of wishes, or nonsense.
    Written(fn(&Clues<'_>) -> Result<Vec<PlatformRequest>, ParseError>),
    /// What the configuration or the connection says: one wish or none.
    Known(fn(&Clues<'_>) -> Option<PlatformRequest>),
}

impl Ask {
    fn wishes(&self, clues: &Clues<'_>) -> Result<Vec<PlatformRequest>, ParseError> {
        match self {
            Self::Written(ask) => ask(clues),
            Self::Known(ask) => Ok(ask(clues).into_iter().collect()),
        }
    }
}

/// The order of trust: the first that speaks is believed.
///
/// Behind them stands [`Source::Default`], which needs no module: the `platform` of the repository's rule, of the upstream, then
/// `platform.default`, whichever is set first.
const SOURCES: [(Source, Ask); 7] = [
    (Source::Query, Ask::Written(query::wishes)),
    (Source::Header, Ask::Written(header::wishes)),
    (Source::Path, Ask::Written(path::wishes)),
    (Source::Listener, Ask::Known(listener::wish)),
    (Source::VirtualHost, Ask::Known(virtual_host::wish)),
    (Source::UserAgent, Ask::Known(user_agent::wish)),
    (Source::Address, Ask::Known(address::wish)),
];

/// What all sources have to say, in the order of trust. Explicit sources must agree, with themselves and with each other.
pub fn hints(clues: &Clues<'_>) -> Result<Vec<Hint>, HintError> {
    let mut said: Vec<Hint> = Vec::new();
    for (source, ask) in SOURCES {
        let wishes = ask.wishes(clues).map_err(|error| HintError::Invalid {
            from: source,
            source: error,
        })?;
        for wish in wishes {
            let hint = Hint { source, wish };
            if let Some(first) = said.first()
                && source.is_explicit()
                && first.wish != hint.wish
            {
                return Err(HintError::Conflict {
                    first: Box::new(first.clone()),
                    second: Box::new(hint),
                });
            }
            said.push(hint);
        }
    }
    Ok(said)
}

#[cfg(test)]
mod tests;
