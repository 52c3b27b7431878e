//! What is wrong with a server's certificate, in words that name the key or the date to look at.

use std::borrow::Cow;

use rustls::{AlertDescription, CertificateError};
use x509_cert::time::Time;

/// The fault of a certificate that a server has shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Nobody but itself vouches for it, and it is not trusted as it is.
    #[error("its certificate is self-signed and not in `ca_file`: name that certificate there")]
    SelfSigned,
    /// Its authority is not among the system's, nor in `ca_file`.
    #[error(
        "its certificate is signed by an authority that is not known ({issuer}): name the \
         authority's certificate in `ca_file`"
    )]
    UnknownAuthority {
        /// The authority, as the certificate names it.
        issuer: String,
    },
    /// It is valid, for another server.
    #[error("its certificate is for {names}, not for {wanted}")]
    OtherName {
        /// The name of the endpoint.
        wanted: String,
        /// The names in the certificate.
        names: String,
    },
    /// It was valid.
    #[error("its certificate expired on {on}")]
    Expired {
        /// Its last second.
        on: Time,
    },
    /// It will be valid.
    #[error("its certificate is valid from {from} on; is the clock of this machine right?")]
    NotYetValid {
        /// Its first second.
        from: Time,
    },
}

/// A failure of TLS in words; none where the library's own are as good.
pub fn in_words(error: &rustls::Error) -> Option<Cow<'static, str>> {
    Some(match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
            let fault = other.0.downcast_ref::<CertificateFault>()?;
            fault.to_string().into()
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "it wants a client certificate: set `client_cert_file` and `client_key_file`".into()
        }
        rustls::Error::AlertReceived(alert) => {
            format!("it ended the TLS handshake with the alert {alert:?}").into()
        }
        _ => return None,
    })
}
