//! One connection of the origin: requests one after the other, bodies at the rate of its shape.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::net::sockopt;

use super::State;
use super::answer::{Answer, Ask, Part};

const MAX_HEAD: usize = 64 << 10;
/// What is sent at once: at 100 MB/s a little over a millisecond.
const SLICE: usize = 128 << 10;
/// Unpaced bodies go out in pieces of this size.
const PIECE: usize = 1 << 20;

/// What the kernel may hold of a paced body: what it has not passed on counts as sent all the same.
const HELD: usize = 256 << 10;

/// Serves until the client leaves, or a cut is due.
pub(super) fn serve(mut stream: TcpStream, state: &State) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    if state.shape.rate.is_some() {
        sockopt::set_socket_send_buffer_size(&stream, HELD)?;
    }
    let mut bytes = Vec::new();
    loop {
        let Some((answer, with_body, end)) = understand(&bytes, state)? else {
            let mut piece = [0; 4096];
            let taken = stream.read(&mut piece)?;
            if taken == 0 {
                return Ok(());
            }
            bytes.extend_from_slice(&piece[..taken]);
            ensure!(bytes.len() <= MAX_HEAD, "a head without end");
            continue;
        };
        bytes.drain(..end);
        thread::sleep(state.shape.latency);
        stream.write_all(answer.head.as_bytes())?;
        if let Some(part) = answer.body.filter(|_| with_body) {
            send(&mut stream, &part, state)?;
        }
    }
}

/// The answer to the request at the front, whether its body is wanted, and where the request ends.
fn understand(bytes: &[u8], state: &State) -> anyhow::Result<Option<(Answer, bool, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(end) = request.parse(bytes)? else {
        return Ok(None);
    };
    let with_body = match request.method {
        Some("GET") => true,
        Some("HEAD") => false,
        other => bail!("{other:?} is for no one here"),
    };
    let header = |name: &str| {
        let mut headers = request.headers.iter();
        let found = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    let ask = Ask {
        path: request.path.context("a path")?,
        range: header("range"),
        if_range: header("if-range"),
    };
    let answer = Answer::to(&ask, state);
    if with_body && answer.body.as_ref().is_some_and(|part| part.is_blob) {
        state.requests.fetch_add(1, Ordering::Relaxed);
    }
    Ok(Some((answer, with_body, end)))
}

/// Sends a part at the rate of the shape; an error stands for a cut.
fn send(stream: &mut TcpStream, part: &Part, state: &State) -> anyhow::Result<()> {
    let begun = Instant::now();
    let size = if state.shape.rate.is_some() {
        SLICE
    } else {
        PIECE
    } as u64;
    let mut position = part.from;
    while position < part.to {
        let mut end = part.to.min(position + size);
        let cut = part
            .is_blob
            .then(|| state.take_cut(position, end))
            .flatten();
        end = cut.unwrap_or(end);
        let slice = usize::try_from(position)?..usize::try_from(end)?;
        stream.write_all(&part.object.bytes[slice])?;
        if part.is_blob {
            state.bytes.fetch_add(end - position, Ordering::Relaxed);
        }
        ensure!(cut.is_none(), "cut at {end}");
        position = end;
        if let Some(rate) = state.shape.rate {
            let due = Duration::from_secs_f64((position - part.from) as f64 / rate as f64);
            thread::sleep(due.saturating_sub(begun.elapsed()));
        }
    }
    Ok(())
}
