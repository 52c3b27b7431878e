//! Which platform a client wants: the sources of hints, and the order in which they are trusted.
//!
//! `SOURCES` is that order, one line per source, the same as in the README's table; each source is
//! a small module of its own. A hint only selects the answer to its own request: it changes no byte
//! that is fetched or stored.

mod address;
mod header;
mod listener;
mod node;
mod path;
mod query;
mod user_agent;
mod virtual_host;

use std::net::IpAddr;

use cluster::Node;
use config::PlatformConfig;
use http::HeaderMap;
use manifest_model::ParseError;
use protocol::{host::Host, platform_request::PlatformRequest};
use pull::{Hint, Source};

/// Why the hints of a request cannot be followed: a 400.
#[derive(Debug, thiserror::Error)]
pub enum HintError {
    /// A source named something that is not a platform.
    #[error("the {from} does not name a platform: {source}")]
    Invalid {
        /// The source.
        from: Source,
        /// The mistake in it.
        source: ParseError,
    },
    /// Two explicit sources disagree.
    #[error("the {} asks for {}, the {} for {}; remove one of them", .first.source, .first.wish, .second.source, .second.wish)]
    Conflict {
        /// The more trusted one.
        first: Box<Hint>,
        /// The other.
        second: Box<Hint>,
    },
}

/// Everything about a request that may name its platform.
#[derive(Clone, Copy, Debug)]
pub struct Clues<'a> {
    /// The values of `platform` in the query, decoded.
    pub query: &'a [String],
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The platform in the path, in its path form.
    pub path: Option<&'a str>,
    /// The listener's `platform`.
    pub listener: Option<&'a PlatformRequest>,
    /// The host name under which the client reached us.
    pub host: Option<&'a Host>,
    /// The client's address: the connection's, or the one a trusted proxy names.
    pub peer: IpAddr,
    /// The node of the cluster that has it, if a runtime asks.
    pub node: Option<&'a Node>,
    /// The configured hosts and addresses.
    pub config: &'a PlatformConfig,
}

/// How a source module looks for a platform.
enum Lookup {
    /// In what the client wrote: any number of platforms, or an error.
    Written(fn(&Clues<'_>) -> Result<Vec<PlatformRequest>, ParseError>),
    /// In the configuration or the connection: one platform or none.
    Known(fn(&Clues<'_>) -> Option<PlatformRequest>),
}

impl Lookup {
    fn wishes(&self, clues: &Clues<'_>) -> Result<Vec<PlatformRequest>, ParseError> {
        match self {
            Self::Written(find) => find(clues),
            Self::Known(find) => Ok(find(clues).into_iter().collect()),
        }
    }
}

/// The order of trust: the first source that names a platform is followed.
///
/// [`Source::Default`] comes last and needs no module: it is the `platform` of the repository's
/// rule, else of the upstream, else `platform.default`.
const SOURCES: [(Source, Lookup); 8] = [
    (Source::Query, Lookup::Written(query::wishes)),
    (Source::Header, Lookup::Written(header::wishes)),
    (Source::Path, Lookup::Written(path::wishes)),
    (Source::Listener, Lookup::Known(listener::wish)),
    (Source::VirtualHost, Lookup::Known(virtual_host::wish)),
    (Source::UserAgent, Lookup::Known(user_agent::wish)),
    (Source::Address, Lookup::Known(address::wish)),
    (Source::Node, Lookup::Known(node::wish)),
];

/// The hints of all sources, in the order of trust. Explicit sources that disagree are an error.
pub fn hints(clues: &Clues<'_>) -> Result<Vec<Hint>, HintError> {
    let mut hints: Vec<Hint> = Vec::new();
    for (source, lookup) in SOURCES {
        let wishes = lookup.wishes(clues).map_err(|error| HintError::Invalid {
            from: source,
            source: error,
        })?;
        for wish in wishes {
            let hint = Hint { source, wish };
            if let Some(first) = hints.first()
                && source.is_explicit()
                && first.wish != hint.wish
            {
                return Err(HintError::Conflict {
                    first: Box::new(first.clone()),
                    second: Box::new(hint),
                });
            }
            hints.push(hint);
        }
    }
    Ok(hints)
}

#[cfg(test)]
mod tests;
