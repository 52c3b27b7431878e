//! nginx with static files, at its best: sendfile, open files kept, keep-alive without end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::free_address;
use super::process::Server;
use crate::content::Content;
use crate::place::Place;

/// nginx, and the addresses of its servers; all have the same files.
pub(crate) struct Nginx {
    /// Plain HTTP with a buffered access log.
    pub(crate) server: Server,
    /// Plain HTTP without a log.
    pub(crate) unlogged: SocketAddr,
    /// TLS 1.3, HTTP/1.1 or HTTP/2 as the client wants.
    pub(crate) tls: SocketAddr,
    pub(crate) certificate: Certificate,
}

/// The files of a certificate for 127.0.0.1 and its key.
#[derive(Clone)]
pub(crate) struct Certificate {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Nginx {
    pub(crate) fn start(place: &Place) -> anyhow::Result<Self> {
        let folder = place.folder("nginx")?;
        write_files(&folder.join("root"), &place.content)?;
        let certificate = Certificate::make(&folder)?;
        let (logged, unlogged, tls) = (free_address()?, free_address()?, free_address()?);
        let config = folder.join("nginx.conf");
        std::fs::write(&config, text(&folder, logged, unlogged, tls, &certificate))?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&config).arg("-p").arg(&folder);
        let log = folder.join("nginx.log");
        let server = Server::start(command, &place.cores, logged, "/", &log);
        Ok(Self {
            server: server.context("nginx")?,
            unlogged,
            tls,
            certificate,
        })
    }
}

impl Certificate {
    fn make(folder: &Path) -> anyhow::Result<Self> {
        let made = Self {
            cert: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        };
        let config = folder.join("openssl.cnf");
        std::fs::write(
            &config,
            "[req]\ndistinguished_name = name\nx509_extensions = ext\n[name]\n\
             [ext]\nsubjectAltName = IP:127.0.0.1\nbasicConstraints = critical, CA:FALSE\n",
        )?;
        let output = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
            ])
            .args(["-nodes", "-days", "30", "-subj", "/CN=bench", "-config"])
            .arg(&config)
            .arg("-keyout")
            .arg(&made.key)
            .arg("-out")
            .arg(&made.cert)
            .output()
            .context("openssl")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "openssl: {said}");
        Ok(made)
    }
}

/// The files lie where a registry's paths point, so the same requests go to every server.
fn write_files(root: &Path, content: &Content) -> anyhow::Result<()> {
    let blobs = content.blobs();
    let blobs = blobs.iter().map(|blob| (blob.blob_path(), &blob.bytes));
    let manifests = content.manifest_paths();
    let manifests = manifests
        .into_iter()
        .map(|path| (path, &content.manifest.bytes));
    for (path, bytes) in blobs.chain(manifests) {
        let file = root.join(path.trim_start_matches('/'));
        let folder = file.parent().context("a file lies in a folder")?;
        std::fs::create_dir_all(folder)?;
        std::fs::write(&file, bytes.as_slice()).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

fn text(
    folder: &Path,
    logged: SocketAddr,
    unlogged: SocketAddr,
    tls: SocketAddr,
    certificate: &Certificate,
) -> String {
    let folder = folder.display();
    let (cert, key) = (certificate.cert.display(), certificate.key.display());
    format!(
        "user root;
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  sendfile on; tcp_nopush on; tcp_nodelay on;
  keepalive_timeout 1h; keepalive_requests 1000000000;
  open_file_cache max=1000 inactive=1h; open_file_cache_valid 1h;
  default_type application/octet-stream;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  root {folder}/root;
  server {{ listen {logged} backlog=4096; access_log {folder}/access.log combined buffer=64k flush=5s; }}
  server {{ listen {unlogged} backlog=4096; access_log off; }}
  server {{
    listen {tls} ssl http2 backlog=4096; access_log {folder}/tls.log combined buffer=64k flush=5s;
    ssl_protocols TLSv1.3; ssl_certificate {cert}; ssl_certificate_key {key};
  }}
}}
"
    )
}
