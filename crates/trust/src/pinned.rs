//! TLS to one server that is known by its certificate, not by its name.
//!
//! A listener's certificate has the name that its clients use, from an authority they trust. A command
//! on the same machine connects to an address instead, and trusts the certificate in the configuration
//! itself: a server with the key for it is that listener.

use rustls::{
    CertificateError, ClientConfig, Error,
    client::danger::ServerCertVerified,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::judged::{self, Judge};

/// The TLS settings of a client that trusts the server with this certificate and no other.
pub fn pinned(certificate: CertificateDer<'static>) -> Result<ClientConfig, Error> {
    let provider = aws_lc_rs::default_provider();
    let builder = judged::by(PinnedCertificate(certificate), provider.into())?;
    Ok(builder.with_no_client_auth())
}

#[derive(Debug)]
struct PinnedCertificate(CertificateDer<'static>);

impl Judge for PinnedCertificate {
    fn judge(
        &self,
        shown: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *shown == self.0 {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }
}
