//! Why there is no proxy: what can fail before the first request.

use std::{io, net::SocketAddr, path::PathBuf};

use cache::CacheError;
use control::{ImportsError, SocketError};
use replicas::PeerTlsError;

/// Why the proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The cache could not be opened.
    #[error("cannot open the cache, whose directory `path` of [cache] sets")]
    Cache(#[from] CacheError),
    /// A bundle cannot be served as it is.
    #[error("cannot serve a bundle")]
    Bundle(#[from] ImportsError),
    /// A listener could not be bound.
    #[error(
        "cannot listen on {address}; is something else running there? Set another `address` in the \
         configuration, of [[listener]] or [admin]; `archway config print` shows them all"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A socket was handed over that nobody would serve: its clients would wait for ever.
    #[error(
        "a socket for {0} was handed over, where no listener is: give one that address, or remove it from the unit's sockets"
    )]
    Unclaimed(SocketAddr),
    /// The settings of the tier cannot be used.
    #[error("cannot use the tier")]
    Tier(#[from] tier::StartError),
    /// What proves replicas to each other cannot be used.
    #[error("cannot join the other replicas")]
    Replicas(#[from] PeerTlsError),
    /// Somebody else has the admin socket.
    #[error("cannot listen on the admin socket")]
    Socket(#[from] SocketError),
    /// The file of the audit log cannot be written.
    #[error("cannot write the audit log to {}; make its folder, or name another path in [audit]", path.display())]
    Audit {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Signals could not be watched.
    #[error("cannot watch for signals")]
    Signals(#[source] io::Error),
    /// The system gave no random bytes.
    #[error("cannot get random bytes from the system")]
    Random(#[source] io::Error),
}
