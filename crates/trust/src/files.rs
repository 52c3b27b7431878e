//! The files that an operator names: certificates and keys in PEM.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};

use crate::Identity;

/// A certificate or key file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocalFileError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A `ca_file` that is not PEM.
    #[error("{} holds no certificates", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// The fault in it.
        source: pem::Error,
    },
    /// The authorities of this system cannot be used.
    #[error("the authorities of this system cannot be used")]
    Authorities(#[source] rustls::Error),
    /// A client certificate that is invalid, or that does not fit its key.
    #[error("{} and {} are not a certificate and its key", chain.display(), key.display())]
    ClientCertificate {
        /// The file with the certificates.
        chain: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// The fault in them.
        source: ClientCertificateFault,
    },
}

/// The fault in a client certificate or its key.
#[derive(Debug, thiserror::Error)]
pub enum ClientCertificateFault {
    /// One of them is not PEM.
    #[error(transparent)]
    Pem(#[from] pem::Error),
    /// They are not for each other, or of a kind that TLS does not use.
    #[error(transparent)]
    Pair(#[from] rustls::Error),
}

impl Identity<'_> {
    pub(crate) fn refused(self, source: impl Into<ClientCertificateFault>) -> LocalFileError {
        LocalFileError::ClientCertificate {
            chain: self.chain.to_owned(),
            key: self.key.to_owned(),
            source: source.into(),
        }
    }
}

/// All certificates of a file.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, LocalFileError> {
    let pem = read(path)?;
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    parsed.map_err(|source| LocalFileError::CaFile {
        path: path.to_owned(),
        source,
    })
}

/// A client's certificates and their key.
pub(crate) fn pair(
    identity: Identity<'_>,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), LocalFileError> {
    let (chain, key) = (read(identity.chain)?, read(identity.key)?);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain).collect();
    let chain = chain.map_err(|error| identity.refused(error))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| identity.refused(error))?;
    Ok((chain, key))
}

fn read(path: &Path) -> Result<Vec<u8>, LocalFileError> {
    fs::read(path).map_err(|source| LocalFileError::Read {
        path: path.to_owned(),
        source,
    })
}
