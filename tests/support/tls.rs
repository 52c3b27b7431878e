//! Certificates for Archway to serve with, the authorities that vouch for them, and the folder they
//! are mounted in.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::wait::within;

/// Whom a client trusts.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A server's certificate and its key, both PEM.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate.
    pub cert: String,
    /// Its private key.
    pub key: String,
}

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A connection that trusts this authority alone and has shaken hands, but has not said
    /// anything yet.
    pub async fn connect(&self, address: SocketAddr, protocol: &str) -> TlsStream<TcpStream> {
        let mut trusted = RootCertStore::empty();
        trusted.add(self.0.der().clone()).expect("a certificate");
        let mut config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("current versions")
            .with_root_certificates(trusted)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.into()];
        let stream = TcpStream::connect(address).await.expect("it listens");
        let connector = TlsConnector::from(Arc::new(config));
        let handshake = connector.connect(address.ip().into(), stream);
        within("the handshake", handshake)
            .await
            .expect("one that succeeds")
    }

    /// A certificate for this machine's loopback addresses.
    pub fn issue(&self) -> Issued {
        let names = ["127.0.0.1", "127.0.0.2", "localhost"].map(str::to_owned);
        let params = CertificateParams::new(names).expect("names and addresses");
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.0).expect("a certificate");
        Issued {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// A folder with `tls.crt` and `tls.key`, laid out as Kubernetes mounts a secret: both are links
/// through `..data`, and an update is a new folder to which that link is turned at once.
pub struct Mounted {
    folder: TempDir,
    versions: AtomicU32,
}

impl Mounted {
    /// A folder that holds these.
    pub fn with(issued: &Issued) -> Self {
        let mounted = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            versions: AtomicU32::new(0),
        };
        for name in ["tls.crt", "tls.key"] {
            let target = format!("..data/{name}");
            symlink(target, mounted.path(name)).expect("a new link");
        }
        mounted.update(issued);
        mounted
    }

    /// The file of the certificate.
    pub fn cert(&self) -> PathBuf {
        self.path("tls.crt")
    }

    /// The file of the key.
    pub fn key(&self) -> PathBuf {
        self.path("tls.key")
    }

    /// Puts these in the place of what is there.
    pub fn update(&self, issued: &Issued) {
        let version = self.versions.fetch_add(1, Ordering::Relaxed);
        let version = format!("..version-{version}");
        let folder = self.path(&version);
        fs::create_dir(&folder).expect("a new folder");
        fs::write(folder.join("tls.crt"), &issued.cert).expect("a new file");
        fs::write(folder.join("tls.key"), &issued.key).expect("a new file");
        symlink(&version, self.path("..data_tmp")).expect("a new link");
        fs::rename(self.path("..data_tmp"), self.path("..data")).expect("a link to turn");
    }

    /// The line that gives them to a listener.
    pub fn line(&self) -> String {
        let (cert, key) = (self.cert(), self.key());
        let (cert, key) = (cert.display(), key.display());
        format!("tls = {{ cert = \"{cert}\", key = \"{key}\" }}")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
