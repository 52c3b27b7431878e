//! Which servers a client trusts, and as whom it presents itself.
//!
//! Trusted are the system's authorities and those in a file of the operator. A certificate that is in
//! that file byte for byte is trusted as the server's own: `openssl req -x509`, as most guides have it,
//! makes one that is an authority by its own words, which the standard's rules refuse as a server's.
//!
//! Owns the judgement on certificates and its words. Refuses connections and requests: the HTTP client
//! that takes these settings makes them (`upstream`).

mod fault;
mod files;
mod judged;
mod pinned;
mod verifier;

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig,
    crypto::{CryptoProvider, aws_lc_rs},
};
use rustls_platform_verifier::Verifier as PlatformVerifier;

use self::verifier::Verifier;
pub use self::{
    fault::{CertificateFault, in_words},
    files::{ClientCertificateFault, LocalFileError},
    pinned::pinned,
};

/// HTTP/2 where the server offers it.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The files of a certificate and its key, with which a client presents itself.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The certificate, then those between it and its root.
    pub chain: &'a Path,
    /// Its private key.
    pub key: &'a Path,
}

/// The TLS settings of a client that trusts what is in `ca_file` beside the system's authorities.
/// Blocks: it reads the files.
pub fn client(
    ca_file: Option<&Path>,
    identity: Option<Identity<'_>>,
) -> Result<ClientConfig, LocalFileError> {
    let provider = CryptoProvider::get_default();
    let provider = provider.map_or_else(|| aws_lc_rs::default_provider().into(), Arc::clone);
    let own = ca_file.map(files::certificates).transpose()?;
    let own = own.unwrap_or_default();
    let platform = PlatformVerifier::new_with_extra_roots(own.clone(), Arc::clone(&provider))
        .map_err(LocalFileError::Authorities)?;
    let verifier = Verifier::new(platform, own, provider.signature_verification_algorithms);
    let builder = judged::by(verifier, provider).map_err(LocalFileError::Authorities)?;
    let mut tls = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = files::pair(identity)?;
            let identified = builder.with_client_auth_cert(chain, key);
            identified.map_err(|error| identity.refused(error))?
        }
    };
    tls.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(tls)
}
