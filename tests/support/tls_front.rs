//! TLS in front of a double: a listener that ends TLS and hands the bytes on, with certificates of
//! its own making.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

/// An authority whose certificates nobody trusts who was not told to.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let authority = Self { issuer, folder };
        std::fs::write(authority.ca_file(), authority.issuer.pem()).expect("a writable folder");
        authority
    }

    /// Its own certificate, for `ca_file`.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for `name` and its key, both as files.
    pub fn files_for(&self, name: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = self.issue(name);
        let files = ["pem", "key"].map(|kind| self.folder.path().join(format!("{name}.{kind}")));
        std::fs::write(&files[0], certificate.pem()).expect("a writable folder");
        std::fs::write(&files[1], key.serialize_pem()).expect("a writable folder");
        let [certificate, key] = files;
        (certificate, key)
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate, key)
    }
}

/// What the front asks for and offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// Anybody.
    Any,
    /// Those with a certificate of the same authority.
    Known,
}

/// A TLS listener before a plain server; it ends with the test's runtime.
pub struct TlsFront {
    address: SocketAddr,
}

impl TlsFront {
    /// Shows a certificate for `name`, offers HTTP/2, and hands on to `target`.
    pub async fn start(
        authority: &Authority,
        name: &str,
        clients: Clients,
        target: SocketAddr,
    ) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config(authority, name, clients)));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.expect("a free loopback port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let tasks = TaskTracker::new();
        let connections = tasks.clone();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(forward(acceptor.clone(), stream, target));
            }
        });
        Self { address }
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

fn config(authority: &Authority, name: &str, clients: Clients) -> ServerConfig {
    let (certificate, key) = authority.issue(name);
    let root: CertificateDer<'static> = authority.issuer.der().clone();
    let builder = ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .expect("the provider has the usual versions");
    let builder = match clients {
        Clients::Any => builder.with_no_client_auth(),
        Clients::Known => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(root).expect("a certificate");
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a root is there"))
        }
    };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = builder
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("the key fits the certificate");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

async fn forward(acceptor: TlsAcceptor, stream: TcpStream, target: SocketAddr) {
    // A client that does not like the certificate hangs up here.
    let Ok(mut outside) = acceptor.accept(stream).await else {
        return;
    };
    let Ok(mut inside) = TcpStream::connect(target).await else {
        return;
    };
    let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
}
