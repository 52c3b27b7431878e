//! TLS in front of a double: a listener that ends TLS and hands the bytes on, with certificates of
//! its own making.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WantsServerCert;
use rustls::server::WebPkiClientVerifier;
use rustls::{ConfigBuilder, ServerConfig, WantsVerifier};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
        // Of another name than what it issues: who issues itself has signed itself.
        let name = "the authority of these tests";
        params.distinguished_name.push(DnType::CommonName, name);
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
        let config = config(authority, name, clients);
        Self::accept(config, move |acceptor, stream| {
            forward(acceptor, stream, target)
        })
        .await
    }

    /// Shows this certificate, whatever is wrong with it, and hands on to `target`.
    pub async fn showing(
        certificate: CertificateDer<'static>,
        key: &KeyPair,
        target: SocketAddr,
    ) -> Self {
        let config = showing(builder().with_no_client_auth(), certificate, key);
        Self::accept(config, move |acceptor, stream| {
            forward(acceptor, stream, target)
        })
        .await
    }

    /// As [`Self::start`] for anybody, but for HTTP/1.1 alone, and it ends connections as some
    /// balancers do, without the alert that TLS wants: each answers one request, and hangs up when
    /// a second one comes.
    pub async fn hanging_up(authority: &Authority, name: &str, target: SocketAddr) -> Self {
        let mut config = config(authority, name, Clients::Any);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self::accept(config, move |acceptor, stream| {
            forward_once(acceptor, stream, target)
        })
        .await
    }

    /// Answers every request with these bytes, whatever they are, and ends the connection without
    /// the alert that TLS wants.
    pub async fn saying(authority: &Authority, name: &str, answer: Vec<u8>) -> Self {
        let mut config = config(authority, name, Clients::Any);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let answer: Arc<[u8]> = answer.into();
        Self::accept(config, move |acceptor, stream| {
            let answer = Arc::clone(&answer);
            async move {
                if let Ok(mut outside) = acceptor.accept(stream).await {
                    let _ = outside.read(&mut [0; PIECE]).await;
                    let _ = outside.write_all(&answer).await;
                    let _ = outside.flush().await;
                }
            }
        })
        .await
    }

    async fn accept<F>(
        config: ServerConfig,
        serve: impl Fn(TlsAcceptor, TcpStream) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.expect("a free loopback port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let tasks = TaskTracker::new();
        let connections = tasks.clone();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(acceptor.clone(), stream));
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
    let builder = builder();
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
    showing(builder, certificate.der().clone(), &key)
}

fn builder() -> ConfigBuilder<ServerConfig, WantsVerifier> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the usual versions")
}

fn showing(
    builder: ConfigBuilder<ServerConfig, WantsServerCert>,
    certificate: CertificateDer<'static>,
    key: &KeyPair,
) -> ServerConfig {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = builder
        .with_single_cert(vec![certificate], key)
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

/// The largest piece that is handed on at once.
const PIECE: usize = 16 * 1024;

async fn forward_once(acceptor: TlsAcceptor, stream: TcpStream, target: SocketAddr) {
    let Ok(mut outside) = acceptor.accept(stream).await else {
        return;
    };
    let Ok(mut inside) = TcpStream::connect(target).await else {
        return;
    };
    let (mut asked, mut answered) = ([0; PIECE], [0; PIECE]);
    let mut has_answered = false;
    loop {
        let sent = tokio::select! {
            read = outside.read(&mut asked) => match read {
                Ok(length @ 1..) if !has_answered => inside.write_all(&asked[..length]).await,
                // Dropped, TLS ends without an alert.
                _ => return,
            },
            read = inside.read(&mut answered) => match read {
                Ok(length @ 1..) => {
                    has_answered = true;
                    outside.write_all(&answered[..length]).await
                }
                _ => return,
            },
        };
        if sent.is_err() {
            return;
        }
    }
}
