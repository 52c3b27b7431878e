//! A failure of the transport, in words where it is a known one.

use std::{borrow::Cow, error::Error, fmt, io};

use rustls::InvalidMessage;

/// A failure of the transport. A known fault is all there is to say; of others the HTTP client's
/// own error is the source.
#[derive(Debug)]
pub struct HttpError {
    error: reqwest::Error,
    fault: Option<Cow<'static, str>>,
}

impl HttpError {
    /// The error without its URL, which may hold a secret.
    pub(crate) fn new(error: reqwest::Error) -> Self {
        let fault = fault(&error);
        Self {
            error: error.without_url(),
            fault,
        }
    }

    /// Whether there was no connection.
    pub(crate) fn is_connect(&self) -> bool {
        self.error.is_connect()
    }

    /// Whether a timeout of the HTTP client ended it.
    pub(crate) fn is_timeout(&self) -> bool {
        self.error.is_timeout()
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.fault.as_deref().unwrap_or("the request failed"))
    }
}

impl Error for HttpError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.fault.is_none().then_some(&self.error)
    }
}

fn fault(error: &reqwest::Error) -> Option<Cow<'static, str>> {
    if error.is_connect() && error.is_timeout() {
        return Some("no connection came about within `connect_timeout`".into());
    }
    let found = innermost(error)?;
    Some(match found {
        Found::Tls(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            plain_http(error)
        }
        Found::Tls(error) => trust::in_words(error)?,
        Found::Io(error) if error.raw_os_error().is_none() => of_lookup(error)?,
        Found::Io(error) => of_io(error.kind())?,
    })
}

/// What was told by the layers below HTTP.
enum Found<'a> {
    Tls(&'a rustls::Error),
    Io(&'a io::Error),
}

/// The deepest error of TLS or of the system. An I/O error hides the one that it was made of from
/// `source`, so that one is looked for first.
fn innermost<'a>(error: &'a (dyn Error + 'static)) -> Option<Found<'a>> {
    if let Some(tls) = error.downcast_ref() {
        return Some(Found::Tls(tls));
    }
    let Some(own) = error.downcast_ref::<io::Error>() else {
        return innermost(error.source()?);
    };
    let inner = own.get_ref().and_then(|inner| innermost(inner));
    Some(inner.unwrap_or(Found::Io(own)))
}

/// The bytes are there to see: no server answers TLS so.
fn plain_http(error: &reqwest::Error) -> Cow<'static, str> {
    let place = error.url().and_then(|url| {
        let port = url.port_or_known_default()?;
        Some(format!("http://{}:{port}", url.host_str()?))
    });
    match place {
        Some(place) => {
            format!("it speaks plain http, not https: set `endpoints = [\"{place}\"]`").into()
        }
        None => "it speaks plain http, not https: begin its endpoint with http://".into(),
    }
}

fn of_io(kind: io::ErrorKind) -> Option<Cow<'static, str>> {
    Some(Cow::Borrowed(match kind {
        io::ErrorKind::ConnectionRefused => "the connection was refused: nothing listens there",
        io::ErrorKind::ConnectionReset => "the connection was reset",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "there is no way to its network"
        }
        io::ErrorKind::TimedOut => "the connection timed out",
        _ => return None,
    }))
}

/// The standard library has no kind for a name without an address, but its words.
fn of_lookup(error: &io::Error) -> Option<Cow<'static, str>> {
    let text = error.to_string();
    let (_, reason) = text.split_once("failed to lookup address information: ")?;
    Some(format!("its name has no address here: {reason}").into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{CertificateError, OtherError};
    use trust::CertificateFault;

    use super::*;

    /// As the HTTP client nests them.
    fn nested(error: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
        io::Error::other(io::Error::other(error))
    }

    #[test]
    fn the_error_at_the_bottom_is_found_through_those_that_hide_it() {
        let fault = CertificateFault::UnknownAuthority {
            issuer: "CN=My Corp CA".to_owned(),
        };
        let tls: rustls::Error = CertificateError::Other(OtherError(Arc::new(fault))).into();
        let error = nested(tls);
        let Some(Found::Tls(found)) = innermost(&error) else {
            panic!("{error:?}");
        };
        let words = trust::in_words(found).unwrap();
        assert!(words.contains("CN=My Corp CA"), "{words}");
    }

    #[test]
    fn a_refused_connection_is_told_in_words() {
        let refused = nested(io::Error::from_raw_os_error(111));
        let Some(Found::Io(found)) = innermost(&refused) else {
            panic!("{refused:?}");
        };
        assert!(of_io(found.kind()).unwrap().contains("refused"));
    }

    #[test]
    fn a_name_without_an_address_is_told_as_that() {
        let error = io::Error::other(
            "failed to lookup address information: Temporary failure in name resolution",
        );
        let words = of_lookup(&error).unwrap();
        assert_eq!(
            words,
            "its name has no address here: Temporary failure in name resolution"
        );
    }
}
