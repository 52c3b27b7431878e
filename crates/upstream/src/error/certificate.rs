//! What is wrong with a server's certificate, in words that name the key or the date to look at.

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
