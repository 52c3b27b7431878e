//! nginx with the same files under the same paths, at its defaults: what a trusted server holds for
//! the same clients.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use integration_tests::images::Blob;
use integration_tests::tls::Mounted;
use integration_tests::wait::eventually;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::place::Place;

/// A running nginx of one process; dropping it kills it.
pub(crate) struct Nginx {
    child: Child,
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    /// Serves `blob` under `path`, on the servers' core.
    pub(crate) async fn start(place: &Place, path: &str, blob: &Blob, pair: &Mounted) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_file(&folder.path().join("root"), path, blob);
        let (plain, tls) = (free_address(), free_address());
        let config = folder.path().join("nginx.conf");
        fs::write(&config, text(folder.path(), plain, tls, pair)).expect("a writable folder");
        let [program, words @ ..] = place.on_server_core();
        let child = Command::new(program)
            .args(words)
            .arg("nginx")
            .arg("-c")
            .arg(&config)
            .arg("-p")
            .arg(folder.path())
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx starts; tests/tools/install.sh bench installs it");
        eventually("nginx listens", async || {
            TcpStream::connect(tls).await.ok().map(drop)
        })
        .await;
        Self {
            child,
            plain,
            tls,
            _folder: folder,
        }
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago: the run has a network of its own, so it stays free.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener
        .local_addr()
        .expect("a bound socket has an address")
}

fn write_file(root: &Path, path: &str, blob: &Blob) {
    let file = root.join(path.trim_start_matches('/'));
    fs::create_dir_all(file.parent().expect("it lies in a folder")).expect("a writable folder");
    let mut file = fs::File::create(file).expect("a writable folder");
    let mut at = 0;
    while at < blob.size() {
        let piece = blob.piece(at, 1 << 20);
        file.write_all(&piece).expect("room on the disk");
        at += piece.len() as u64;
    }
}

fn text(folder: &Path, plain: SocketAddr, tls: SocketAddr, pair: &Mounted) -> String {
    let folder = folder.display();
    let (cert, key) = (pair.cert(), pair.key());
    format!(
        "user root;
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  sendfile on; tcp_nopush on;
  default_type application/octet-stream;
  access_log {folder}/access.log;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  root {folder}/root;
  server {{ listen {plain} backlog=4096; }}
  server {{ listen {tls} ssl http2 backlog=4096; ssl_certificate {}; ssl_certificate_key {}; }}
}}
",
        cert.display(),
        key.display()
    )
}
