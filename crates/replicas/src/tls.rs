//! What proves one replica to another: a shared secret, or certificates of an authority of their own.
//!
//! Replicas are found under addresses that no certificate can name beforehand. So every certificate
//! is for the one name [`SERVER_NAME`], whatever address its replica has.

use std::{path::PathBuf, sync::Arc};

use config::{KeyPairError, PeerTls, ReplicasConfig, SecretError, SecretSource};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::{VerifierBuilderError, WebPkiClientVerifier},
    sign::SingleCertAndKey,
};

use crate::secret::Secret;

/// The name in the certificate of every replica.
const SERVER_NAME: &str = "archway-replica";

/// Why replicas cannot be told from strangers here.
#[derive(Debug, thiserror::Error)]
pub enum PeerTlsError {
    /// The secret.
    #[error("the secret of the replicas cannot be read")]
    Secret(#[source] SecretError),
    /// The file of the secret has only blank lines.
    #[error("{} holds no secret", .0.display())]
    NoSecret(PathBuf),
    /// The authority.
    #[error("the authority of the replicas in {} cannot be used", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The certificate, or its key.
    #[error("the certificate of this replica cannot be used")]
    Pair(#[source] KeyPairError),
    /// The TLS library refuses both together.
    #[error("the TLS library refuses the certificate of this replica")]
    Tls(#[from] rustls::Error),
    /// The verifier of other replicas.
    #[error("other replicas cannot be verified")]
    Verifier(#[from] VerifierBuilderError),
    /// The HTTP client.
    #[error("the client for other replicas cannot be made")]
    Client(#[source] reqwest::Error),
}

/// The secret that replicas share, unless they use TLS.
pub(crate) fn secret(config: &ReplicasConfig) -> Result<Option<Secret>, PeerTlsError> {
    let Some(path) = &config.secret_file else {
        return Ok(None);
    };
    let text = SecretSource::File(path.clone()).read();
    let text = text.map_err(PeerTlsError::Secret)?;
    let secret = Secret::parse(&text).ok_or_else(|| PeerTlsError::NoSecret(path.clone()))?;
    Ok(Some(secret))
}

/// TLS towards other replicas.
pub(crate) fn client(files: &PeerTls) -> Result<ClientConfig, PeerTlsError> {
    let pair = files.pair.read().map_err(PeerTlsError::Pair)?;
    let provider = provider();
    let verifier = WebPkiServerVerifier::builder_with_provider(
        Arc::new(authorities(files)?),
        Arc::clone(&provider),
    );
    let verifier = OneName(verifier.build()?);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    Ok(config)
}

/// TLS for the listener of replicas, which asks each for its certificate.
pub(crate) fn server(files: &PeerTls) -> Result<ServerConfig, PeerTlsError> {
    let pair = files.pair.read().map_err(PeerTlsError::Pair)?;
    let provider = provider();
    let verifier = WebPkiClientVerifier::builder_with_provider(
        Arc::new(authorities(files)?),
        Arc::clone(&provider),
    );
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier.build()?)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The authorities of replicas: no others, so no public one can vouch for a stranger.
fn authorities(files: &PeerTls) -> Result<RootCertStore, PeerTlsError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| PeerTlsError::Authority {
        path: files.ca.clone(),
        source,
    };
    let found = CertificateDer::pem_file_iter(&files.ca).map_err(|error| failed(error.into()))?;
    let mut roots = RootCertStore::empty();
    for certificate in found {
        let certificate = certificate.map_err(|error| failed(error.into()))?;
        roots
            .add(certificate)
            .map_err(|error| failed(error.into()))?;
    }
    Ok(roots)
}

/// Verifies that a server is a replica, whatever address it was found under.
#[derive(Debug)]
struct OneName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for OneName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _address: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = ServerName::try_from(SERVER_NAME);
        let name = name.map_err(|_| CertificateError::NotValidForName)?;
        self.0
            .verify_server_cert(end_entity, intermediates, &name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
