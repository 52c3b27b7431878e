//! An import into a running Archway, and what an export holds of it. The files of an import are handed
//! over open, so that the server needs no right of its own to read them, and a pipe will do.
//!
//! The request is one of HTTP/1.0, whose answer ends with the connection: files go with bytes of it
//! (`SCM_RIGHTS`), which no HTTP client can send.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IoSlice, Read as _, Write as _},
    mem::MaybeUninit,
    os::{fd::AsFd as _, unix::net::UnixStream},
    path::PathBuf,
};

use config::Config;
use control::{HOLD, IMPORT, ImportBundles, ImportLine, MAX_FILES_AT_ONCE};
use http::StatusCode;
use manifest_model::Digest;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::{error::ClientError, socket::path_of};

/// The longest answer of a server that refuses the request.
const MAX_REFUSAL: u64 = 64 << 10;

/// The socket of a running Archway, connected.
#[derive(Debug)]
pub struct ImportSocket {
    stream: UnixStream,
    path: PathBuf,
}

impl ImportSocket {
    /// That of the Archway this configuration starts; `None` while it does not run.
    pub fn find(config: &Config) -> Result<Option<Self>, ClientError> {
        let Some(path) = path_of(&config.cache.path, &config.admin.socket) else {
            return Ok(None);
        };
        match UnixStream::connect(&path) {
            Ok(stream) => Ok(Some(Self { stream, path })),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(None)
            }
            Err(source) => Err(ClientError::Socket { path, source }),
        }
    }

    /// Has the files imported, and hands over each line of the answer. Blocks until it ends.
    pub fn import(
        self,
        asked: &ImportBundles,
        files: &[File],
        line: impl FnMut(ImportLine),
    ) -> Result<(), ClientError> {
        let body = serde_json::to_vec(asked).expect("plain data always serialises");
        let asked = send(&self.stream, IMPORT, &body, files).and_then(|()| answer(&self.stream));
        let failed = |source| ClientError::Socket {
            path: self.path.clone(),
            source,
        };
        let (status, mut body) = asked.map_err(failed)?;
        if status == StatusCode::OK {
            return read(body, line).map_err(failed);
        }
        Err(refused(status, &mut body).unwrap_or_else(failed))
    }

    /// Has the server keep these blobs from eviction as long as the answer lives.
    pub fn hold(self, digests: &[Digest]) -> Result<HeldBlobs, ClientError> {
        let body = serde_json::to_vec(digests).expect("digests always serialise");
        let failed = |source| ClientError::Socket {
            path: self.path.clone(),
            source,
        };
        let asked = send(&self.stream, HOLD, &body, &[]).and_then(|()| answer(&self.stream));
        let (status, mut body) = asked.map_err(failed)?;
        if status != StatusCode::OK {
            return Err(refused(status, &mut body).unwrap_or_else(failed));
        }
        // From this line on they are held.
        let mut line = String::new();
        if body.read_line(&mut line).map_err(failed)? == 0 {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        drop(body);
        Ok(HeldBlobs(self.stream))
    }
}

/// Blobs that a server keeps from eviction until this is dropped, or the server ends.
#[derive(Debug)]
pub struct HeldBlobs(
    #[expect(dead_code, reason = "what holds them is that it is open")] UnixStream,
);

fn refused(status: StatusCode, body: &mut impl BufRead) -> io::Result<ClientError> {
    let mut message = String::new();
    body.take(MAX_REFUSAL).read_to_string(&mut message)?;
    Ok(ClientError::Refused {
        status,
        message: message.trim().to_owned(),
        next: None,
    })
}

/// Sends the request, each batch of files with a byte of it.
fn send(mut stream: &UnixStream, route: &str, body: &[u8], files: &[File]) -> io::Result<()> {
    let length = body.len();
    let mut request =
        format!("POST {route} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n")
            .into_bytes();
    request.extend_from_slice(body);
    let mut sent = 0;
    for batch in files.chunks(MAX_FILES_AT_ONCE) {
        let batch: Vec<_> = batch.iter().map(|file| file.as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES_AT_ONCE))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&batch));
        let byte = IoSlice::new(&request[sent..=sent]);
        sent += sendmsg(stream, &[byte], &mut ancillary, SendFlags::NOSIGNAL)?;
    }
    stream.write_all(&request[sent..])
}

/// The status of the answer, and its body.
fn answer(stream: &UnixStream) -> io::Result<(StatusCode, impl BufRead)> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    answer.read_line(&mut line)?;
    let status = line.split(' ').nth(1).ok_or_else(invalid)?;
    let status = status.parse().map_err(|_| invalid())?;
    while line.trim_end() != "" {
        line.clear();
        if answer.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((status, answer))
}

/// Reads lines up to the last one. An answer without one was cut.
fn read(body: impl BufRead, mut each: impl FnMut(ImportLine)) -> io::Result<()> {
    for text in body.lines() {
        let line: ImportLine = serde_json::from_str(&text?)?;
        let is_last = !matches!(line, ImportLine::Step(_));
        each(line);
        if is_last {
            return Ok(());
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}
