//! Keep-alive connections over TLS 1.3, each on a thread of its own. The client has to decrypt, so
//! it is the one at its limit: what counts is the server's processor time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto};

use super::crowd::{self, Tally, Window};
use super::http::{self, MAX_HEAD};
use super::plain::Ask;
use crate::peers::nginx::Certificate;
use crate::peers::process::Server;

type Stream = StreamOwned<ClientConnection, TcpStream>;

const PIECE: usize = 64 << 10;
/// A server that sends nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client that trusts this certificate and speaks nothing older than TLS 1.3.
pub(crate) fn trusting(certificate: &Certificate) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificate.cert)?)?;
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Loads `server` through this many connections.
pub(crate) fn load(
    server: &Server,
    config: &Arc<ClientConfig>,
    ask: Ask,
    connections: usize,
) -> anyhow::Result<Window> {
    crowd::run(server, connections, |_, tally| {
        let mut stream = open(config, ask)?;
        let request = http::request(ask.address, ask.path, None);
        let mut piece = vec![0; PIECE];
        while !tally.is_done() {
            stream.write_all(&request)?;
            if take(&mut stream, ask, &mut piece, tally)? {
                tally.answered();
            }
        }
        Ok(Vec::new())
    })
}

fn open(config: &Arc<ClientConfig>, ask: Ask) -> anyhow::Result<Stream> {
    let stream = TcpStream::connect(ask.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let name = ServerName::from(ask.address.ip());
    let connection = ClientConnection::new(Arc::clone(config), name)?;
    Ok(StreamOwned::new(connection, stream))
}

/// Takes one answer; false when the window was over before its end.
fn take(stream: &mut Stream, ask: Ask, piece: &mut [u8], tally: &Tally) -> anyhow::Result<bool> {
    let mut bytes = Vec::new();
    let head = loop {
        let taken = stream.read(&mut piece[..MAX_HEAD])?;
        ensure!(taken > 0, "the connection ended before an answer");
        bytes.extend_from_slice(&piece[..taken]);
        if let Some(head) = http::head(&bytes)? {
            break head;
        }
    };
    ensure!(head.status == 200, "{} for {}", head.status, ask.path);
    ensure!(
        head.length == ask.length,
        "{} bytes of {}",
        head.length,
        ask.length
    );
    let early = (bytes.len() - head.end) as u64;
    tally.received(early);
    let mut left = ask
        .length
        .checked_sub(early)
        .context("more than was announced")?;
    while left > 0 {
        if tally.is_done() {
            return Ok(false);
        }
        let most = usize::try_from(left)?.min(piece.len());
        let taken = stream.read(&mut piece[..most])?;
        ensure!(
            taken > 0,
            "the connection ended {left} bytes before the body's end"
        );
        tally.received(taken as u64);
        left -= taken as u64;
    }
    Ok(true)
}
