//! One GET from connect to the last byte, as a client pulls a layer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use manifest_model::{Algorithm, Hasher};
use rustix::net::{RecvFlags, recv};

use super::http::{self, MAX_HEAD};
use crate::content::Object;

/// A server that sends nothing for so long hangs.
const PATIENCE: Duration = Duration::from_mins(1);
const PIECE: usize = 256 << 10;

/// When the bytes of an answer came, counted from before the connect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pulled {
    /// The first byte of the body.
    pub(crate) first: Duration,
    /// The last one.
    pub(crate) last: Duration,
}

/// An answer whose head has been read.
pub(crate) struct Answer {
    stream: TcpStream,
    begun: Instant,
    status: u16,
    /// What came of the body with the head.
    early: Vec<u8>,
    /// Bytes of the body after that.
    left: u64,
}

/// The status of a GET.
pub(crate) fn status(address: SocketAddr, path: &str) -> anyhow::Result<u16> {
    Ok(Answer::get(address, path, None)?.status)
}

/// Where bodies are thrown away: only its length counts, nothing is written to it. Making it takes
/// a millisecond, which is not to be counted as the server's.
pub(crate) struct Gulp(Vec<u8>);

impl Gulp {
    pub(crate) fn new() -> Self {
        Self(vec![0; 4 << 20])
    }
}

/// Pulls `object` and throws it away; checks its length.
pub(crate) fn pull(address: SocketAddr, path: &str, object: &Object) -> anyhow::Result<Pulled> {
    pull_into(&mut Gulp::new(), address, path, object)
}

/// The same with a place to throw it that is there already.
pub(crate) fn pull_into(
    gulp: &mut Gulp,
    address: SocketAddr,
    path: &str,
    object: &Object,
) -> anyhow::Result<Pulled> {
    let answer = Answer::get(address, path, None)?;
    answer.expect(200, object.len())?;
    answer.discard(object.len(), gulp)
}

/// Pulls `object` and checks its digest.
pub(crate) fn verify(address: SocketAddr, path: &str, object: &Object) -> anyhow::Result<()> {
    let answer = Answer::get(address, path, None)?;
    answer.expect(200, object.len())?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    answer.read(|piece| {
        hasher.update(piece);
        true
    })?;
    let digest = hasher.finish();
    ensure!(
        digest == object.digest,
        "{address}{path}: the body is {digest}"
    );
    Ok(())
}

impl Answer {
    /// Sends the request and reads the head.
    pub(crate) fn get(
        address: SocketAddr,
        path: &str,
        range: Option<&str>,
    ) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&http::request(address, path, range))?;
        let mut bytes = Vec::new();
        let mut piece = [0; MAX_HEAD];
        let head = loop {
            let taken = stream.read(&mut piece)?;
            ensure!(taken > 0, "the connection ended before an answer");
            bytes.extend_from_slice(&piece[..taken]);
            if let Some(head) = http::head(&bytes)? {
                break head;
            }
        };
        let early = bytes.split_off(head.end);
        let left = head.length.checked_sub(early.len() as u64);
        Ok(Self {
            stream,
            begun,
            status: head.status,
            left: left.context("more than was announced")?,
            early,
        })
    }

    /// Fails unless the answer has this status and a body of this length.
    pub(crate) fn expect(&self, status: u16, length: u64) -> anyhow::Result<()> {
        let announced = self.left + self.early.len() as u64;
        ensure!(
            self.status == status && announced == length,
            "{} with {announced} bytes instead of {status} with {length}",
            self.status
        );
        Ok(())
    }

    /// Throws away `length` bytes of the body in the kernel, then closes.
    pub(crate) fn discard(mut self, length: u64, gulp: &mut Gulp) -> anyhow::Result<Pulled> {
        let Gulp(gulp) = gulp;
        let mut wanted = length.saturating_sub(self.early.len() as u64);
        let mut first = (!self.early.is_empty()).then(|| self.begun.elapsed());
        while wanted > 0 {
            let most = usize::try_from(wanted)?.min(gulp.len());
            let (_, taken) = recv(&self.stream, &mut gulp[..most], RecvFlags::TRUNC)?;
            if taken == 0 {
                bail!("the connection ended {wanted} bytes before the end");
            }
            first.get_or_insert_with(|| self.begun.elapsed());
            wanted -= taken as u64;
        }
        self.left = 0;
        Ok(Pulled {
            first: first.context("an empty body")?,
            last: self.begun.elapsed(),
        })
    }

    /// Hands the body over piece by piece for as long as `take` wants more; an early end is an
    /// error.
    pub(crate) fn read(mut self, mut take: impl FnMut(&[u8]) -> bool) -> anyhow::Result<()> {
        if !take(&self.early) {
            return Ok(());
        }
        let mut piece = vec![0; PIECE];
        while self.left > 0 {
            let most = usize::try_from(self.left)?.min(piece.len());
            let taken = self.stream.read(&mut piece[..most])?;
            ensure!(
                taken > 0,
                "the connection ended {} bytes before the end",
                self.left
            );
            self.left -= taken as u64;
            if !take(&piece[..taken]) {
                return Ok(());
            }
        }
        Ok(())
    }
}
