//! A hint: the platform a request asks for, and which source named it.
//!
//! Owns the names of the sources and their trust. Refuses to read requests: `proxy::hints` does.

use std::fmt;

pub use protocol::platform_request::PlatformRequest;

/// Where a hint comes from.
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
    /// The `User-Agent` of dockerd and CRI-O, which names their machine.
    UserAgent,
    /// `platform.addresses`
    Address,
    /// The node of the cluster that has the client's address.
    Node,
    /// The upstream's `platform`, or `platform.default`.
    Default,
}

impl Source {
    /// Every source, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Query,
        Self::Header,
        Self::Path,
        Self::Listener,
        Self::VirtualHost,
        Self::UserAgent,
        Self::Address,
        Self::Node,
        Self::Default,
    ];

    /// Whether the client or the operator named the platform on purpose. Implicit sources know
    /// which machine asks, not for which one it asks.
    pub fn is_explicit(self) -> bool {
        match self {
            Self::Query | Self::Header | Self::Path | Self::Listener | Self::VirtualHost => true,
            Self::UserAgent | Self::Address | Self::Node | Self::Default => false,
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
            Self::Node => "node",
            Self::Default => "default",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A platform that was asked for, and where the request for it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Where it comes from.
    pub source: Source,
    /// The platform asked for, or the index itself.
    pub wish: PlatformRequest,
}
