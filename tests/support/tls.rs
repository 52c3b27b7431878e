//! A TLS server with a certificate of its own making: openssl's, which answers every GET with 200.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A running `openssl s_server`; it ends when it is dropped.
pub struct TlsServer {
    child: Child,
    folder: TempDir,
    port: String,
}

impl TlsServer {
    /// A server at 127.0.0.1 whose certificate is for that address and good for so many days.
    pub fn start(days: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let made = openssl()
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes".split(' '))
            .args("-keyout key.pem -out ca.pem -subj /CN=double".split(' '))
            .args(["-addext", "subjectAltName=IP:127.0.0.1"])
            // Without it the certificate is an authority's, which no server may show as its own.
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-days", &days.to_string()])
            .current_dir(folder.path())
            .output()
            .expect(MISSING);
        assert!(made.status.success(), "{made:?}");
        let mut child = openssl()
            .args("s_server -accept 127.0.0.1:0 -www -cert ca.pem -key key.pem".split(' '))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect(MISSING);
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut lines = out.lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let address = line.strip_prefix("ACCEPT ")?.to_owned();
            Some(address.rsplit_once(':')?.1.to_owned())
        });
        Self {
            child,
            folder,
            port: port.expect("openssl says where it listens"),
        }
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The certificate that makes it trusted.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const MISSING: &str = "openssl: run tests/tools/install.sh";

fn openssl() -> Command {
    Command::new("openssl")
}
