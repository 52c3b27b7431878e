//! The listener of Archway that clients are led to.

use std::{fmt, time::Duration};

use protocol::host::Host;
use url::Url;

/// Near enough for a short wait: whoever listens on this machine answers at once.
const LOCAL_DIAL: Duration = Duration::from_millis(200);
/// Across a network, one lost packet is sent again after a second.
const REMOTE_DIAL: Duration = Duration::from_secs(1);

/// A listener as `http://HOST[:PORT]` or `https://HOST[:PORT]`, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    tls: bool,
    host: Host,
}

/// Why a URL is not that of a listener.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MirrorError {
    /// It is not a URL.
    #[error("`{0}` is not a URL; write it as http://127.0.0.1:5000")]
    Malformed(String),
    /// The scheme is another.
    #[error("a listener of Archway is reached by http or https, not by `{0}`")]
    Scheme(String),
    /// It has more than a scheme, a host and a port.
    #[error(
        "`{0}` has more than a scheme, a host and a port; paths are added where a client needs one"
    )]
    Rest(String),
}

impl Mirror {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Self, MirrorError> {
        let malformed = || MirrorError::Malformed(text.to_owned());
        let url = Url::parse(text).map_err(|_| malformed())?;
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(MirrorError::Scheme(other.to_owned())),
        };
        let is_bare = url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        if !is_bare {
            return Err(MirrorError::Rest(text.to_owned()));
        }
        let name = url.host_str().ok_or_else(malformed)?;
        let host = match url.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        Ok(Self {
            tls,
            host: host.parse().map_err(|_| malformed())?,
        })
    }

    /// The host and, if it is not the scheme's own, the port.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, be it the scheme's own.
    pub fn port(&self) -> u16 {
        let own = if self.tls { 443 } else { 80 };
        let text = &self.host.as_str()[self.host.name().len()..];
        text.strip_prefix(':')
            .and_then(|port| port.parse().ok())
            .unwrap_or(own)
    }

    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether it is on the client's own machine.
    pub fn is_loopback(&self) -> bool {
        let name = self.host.name();
        name == "localhost" || name == "[::1]" || is_in_127(name)
    }

    /// How long a client should wait for a connection before it asks somebody else: containerd's
    /// own bound is 30 s, for each object of an image.
    pub(crate) fn dial_timeout(&self) -> Duration {
        if self.is_loopback() {
            LOCAL_DIAL
        } else {
            REMOTE_DIAL
        }
    }
}

fn is_in_127(name: &str) -> bool {
    name.parse::<std::net::Ipv4Addr>()
        .is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Mirror {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(formatter, "{scheme}://{}", self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_a_scheme_a_host_and_a_port() {
        for (text, shown, port) in [
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000", 5000),
            ("https://Archway.Example/", "https://archway.example", 443),
            ("http://[::1]:5000", "http://[::1]:5000", 5000),
            ("http://archway.example:80", "http://archway.example", 80),
        ] {
            let mirror = Mirror::parse(text).unwrap();
            assert_eq!((mirror.to_string().as_str(), mirror.port()), (shown, port));
        }
    }

    #[test]
    fn what_is_more_or_less_than_that_is_refused_with_its_reason() {
        for (text, reason) in [
            ("archway.example:5000", "not by `archway.example`"),
            ("127.0.0.1:5000", "is not a URL"),
            ("ftp://a", "http or https"),
            ("http://a/docker.io", "paths are added"),
            ("http://me:pw@a", "more than a scheme"),
            ("http://a?x=1", "more than a scheme"),
        ] {
            let error = Mirror::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn only_this_machine_is_dialled_with_the_short_wait() {
        let wait = |text| Mirror::parse(text).unwrap().dial_timeout();
        for local in [
            "http://127.0.0.1:1",
            "http://127.9.9.9",
            "http://[::1]:1",
            "http://localhost",
        ] {
            assert_eq!(wait(local), LOCAL_DIAL, "{local}");
        }
        assert_eq!(wait("http://10.0.0.1:5000"), REMOTE_DIAL);
    }
}
