//! Whether a request is answered here at all: judged by who sends it and how it calls us, before
//! what it asks for is read.
//!
//! A web page cannot read from another origin, but it can have its own name point at us (DNS
//! rebinding). So the name a request calls us by has to be ours, the registry answers no request of a
//! page, and every answer says that it is no page.

use std::net::IpAddr;

use config::Config;
use http::{
    HeaderMap, HeaderValue, Uri, Version,
    header::{self, HeaderName},
    request::Parts,
};
use protocol::host::Host;
use server::exchange::{Arrival, Interface};

/// What a browser puts before the names of the headers that say why it asks.
const FETCH_METADATA: &str = "sec-fetch-";

/// The name under which a client called us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// It gave none, as only HTTP/1.0 may.
    Nothing,
    /// A valid name.
    Name(Host),
    /// A text that is no host.
    Invalid,
    /// More than one: two readers of the request could take different ones.
    Twice,
}

/// Why a request is not answered by the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A web page sent it.
    WebPage,
    /// The listener is not for this client.
    Client(IpAddr),
    /// It has more than one `Host`, or none on HTTP/1.1 (RFC 9112, section 3.2).
    NotOneHost,
    /// Its `Host` is no host.
    InvalidHost,
    /// It calls us by a name that is none of ours.
    OtherName(Host),
}

impl Called {
    /// HTTP/2 has the name in the URI, HTTP/1 in a header.
    pub(crate) fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        let mut lines = headers.get_all(header::HOST).iter();
        let line = lines.next();
        if lines.next().is_some() {
            return Self::Twice;
        }
        let authority = uri.authority().map(http::uri::Authority::as_str);
        let name = match (authority, line) {
            (Some(name), _) => Some(name),
            (None, Some(line)) => line.to_str().ok(),
            (None, None) => return Self::Nothing,
        };
        // A name may end with the dot of the root.
        let name = name.map(|name| name.strip_suffix('.').unwrap_or(name));
        name.and_then(|name| name.parse().ok())
            .map_or(Self::Invalid, Self::Name)
    }

    /// The name, if it is a valid one.
    pub(crate) fn host(&self) -> Option<&Host> {
        match self {
            Self::Name(host) => Some(host),
            Self::Nothing | Self::Invalid | Self::Twice => None,
        }
    }
}

/// Refuses a request of a web page, of a client from elsewhere, or under a name that is not ours.
pub(crate) fn admit(
    config: &Config,
    arrival: &Arrival,
    request: &Parts,
    called: &Called,
    client: IpAddr,
) -> Result<(), Refusal> {
    if is_of_a_page(&request.headers) {
        return Err(Refusal::WebPage);
    }
    let access = &arrival.listener.access;
    if !access.allows_client(client) {
        return Err(Refusal::Client(client));
    }
    let is_ours = |host: &Host| config.is_called(host) || host.is_one_of(&access.names);
    let is_strict = arrival.interface == Interface::Loopback || !access.names.is_empty();
    match called {
        // Whoever has read it before us may have taken the other one.
        Called::Twice => Err(Refusal::NotOneHost),
        Called::Nothing if request.version == Version::HTTP_11 => Err(Refusal::NotOneHost),
        Called::Invalid if is_strict => Err(Refusal::InvalidHost),
        Called::Name(host) if is_strict && !is_ours(host) => Err(Refusal::OtherName(host.clone())),
        Called::Name(_) | Called::Invalid | Called::Nothing => Ok(()),
    }
}

/// Whether only a browser sends such headers: no client of a registry does.
fn is_of_a_page(headers: &HeaderMap) -> bool {
    let is_of_browsers =
        |name: &HeaderName| *name == header::ORIGIN || name.as_str().starts_with(FETCH_METADATA);
    headers.keys().any(is_of_browsers)
}

/// Says of an answer that it is no page, whatever its bytes look like.
pub(crate) fn refuse_rendering(answer: &mut HeaderMap) {
    answer.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    answer.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(uri: &str, lines: &[&str]) -> Called {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::HOST, line.parse().unwrap());
        }
        Called::of(&uri.parse().unwrap(), &headers)
    }

    #[test]
    fn the_name_is_one_or_none() {
        let name = |text: &str| Called::Name(text.parse().unwrap());
        assert_eq!(called("/v2/", &["a.example:5000"]), name("a.example:5000"));
        assert_eq!(called("/v2/", &[]), Called::Nothing);
        assert_eq!(called("/v2/", &["a_b..c"]), Called::Invalid);
        assert_eq!(called("/v2/", &["a.example", "a.example"]), Called::Twice);
        assert_eq!(called("https://b.example/v2/", &[]), name("b.example"));
        assert_eq!(
            called("https://b.example/v2/", &["a.example"]),
            name("b.example")
        );
    }

    #[test]
    fn what_only_a_browser_sends_gives_it_away() {
        let sent = |name: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
            is_of_a_page(&headers)
        };
        for name in [
            "sec-fetch-site",
            "sec-fetch-mode",
            "sec-fetch-dest",
            "origin",
        ] {
            assert!(sent(name), "{name}");
        }
        for name in [
            "user-agent",
            "authorization",
            "sec-ch-ua",
            "referer",
            "archway-platform",
        ] {
            assert!(!sent(name), "{name}");
        }
    }
}
