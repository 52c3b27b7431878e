//! Which servers an upstream's client trusts, and as whom it presents itself.
//!
//! Trusted are the system's authorities and those in `ca_file`. A certificate that is in `ca_file`
//! byte for byte is trusted as the server's own: `openssl req -x509`, as most guides have it, makes
//! one that is an authority by its own words, which the standard's rules refuse as a server's.

mod verifier;

use std::{fs, path::Path, sync::Arc};

use config::UpstreamConfig;
use rustls::{
    ClientConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use rustls_platform_verifier::Verifier as PlatformVerifier;

use self::verifier::Verifier;
use crate::error::{ClientCertificateFault, LocalFileError};

/// HTTP/2 where the server offers it.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The TLS settings of an upstream's client. Blocks: it reads the files.
pub(super) fn config(config: &UpstreamConfig) -> Result<ClientConfig, LocalFileError> {
    let provider = CryptoProvider::get_default();
    let provider = provider.map_or_else(|| aws_lc_rs::default_provider().into(), Arc::clone);
    let own = config.ca_file.as_deref().map(authorities).transpose()?;
    let own = own.unwrap_or_default();
    let platform = PlatformVerifier::new_with_extra_roots(own.clone(), Arc::clone(&provider))
        .map_err(LocalFileError::Authorities)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(LocalFileError::Authorities)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier::new(platform, own)));
    let mut tls = match &config.client_certificate {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let refused = |source: ClientCertificateFault| LocalFileError::ClientCertificate {
                chain: files.chain.clone(),
                key: files.key.clone(),
                source,
            };
            let (chain, key) = (read(&files.chain)?, read(&files.key)?);
            let (chain, key) = pair(&chain, &key).map_err(refused)?;
            let identified = builder.with_client_auth_cert(chain, key);
            identified.map_err(|error| refused(error.into()))?
        }
    };
    tls.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(tls)
}

/// All certificates of a bundle.
fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, LocalFileError> {
    let pem = read(path)?;
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    parsed.map_err(|source| LocalFileError::CaFile {
        path: path.to_owned(),
        source,
    })
}

fn pair(
    chain: &[u8],
    key: &[u8],
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), ClientCertificateFault> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    Ok((chain?, PrivateKeyDer::from_pem_slice(key)?))
}

fn read(path: &Path) -> Result<Vec<u8>, LocalFileError> {
    fs::read(path).map_err(|source| LocalFileError::Read {
        path: path.to_owned(),
        source,
    })
}
