//! Many keep-alive connections on one thread, over epoll; bodies are thrown away in the kernel
//! (`MSG_TRUNC`).

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use memchr::memmem;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::{RecvFlags, recv};

use super::crowd::{self, Tally, Window};
use super::http::{self, MAX_HEAD};
use crate::peers::process::Server;
use crate::place::Cores;

/// Body bytes taken at once; only the length of this buffer counts, nothing is written to it.
const GULP: usize = 4 << 20;
/// How often an idle thread looks whether it is to stop.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// What every connection asks for, again and again.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) path: &'a str,
    /// The length that every body must have.
    pub(crate) length: u64,
}

/// Loads `server` through this many connections, spread over the client's cores.
pub(crate) fn load(
    server: &Server,
    cores: &Cores,
    ask: Ask,
    connections: usize,
) -> anyhow::Result<Window> {
    let threads = cores.clients().min(connections);
    crowd::run(server, threads, |number, tally| {
        // The first threads take one more each where it does not divide.
        let own = connections / threads + usize::from(number < connections % threads);
        run(ask, own, tally)
    })
}

fn run(ask: Ask, connections: usize, tally: &Tally) -> anyhow::Result<Vec<u32>> {
    let request = http::request(ask.address, ask.path, None);
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut open = Vec::with_capacity(connections);
    for index in 0..connections {
        let connection = Connection::open(ask, &request)?;
        let data = EventData::new_u64(index as u64);
        epoll::add(&poll, &connection.stream, data, EventFlags::IN)?;
        open.push(connection);
    }
    let mut events = Vec::with_capacity(connections);
    let mut latencies = Vec::new();
    let mut gulp = vec![0; GULP];
    while !tally.is_done() {
        epoll::wait(&poll, spare_capacity(&mut events), Some(&LOOK))?;
        for event in events.drain(..) {
            let index = usize::try_from(event.data.u64())?;
            let connection = &mut open[index];
            if connection.take(ask, &mut gulp, tally)? {
                tally.answered();
                if tally.is_recording() {
                    latencies.push(nanoseconds(connection.asked.elapsed()));
                }
                connection.ask(&request)?;
            }
        }
    }
    Ok(latencies)
}

fn nanoseconds(time: Duration) -> u32 {
    u32::try_from(time.as_nanos()).unwrap_or(u32::MAX)
}

struct Connection {
    stream: TcpStream,
    asked: Instant,
    /// Bytes of the body still to come; `None` before the head.
    left: Option<u64>,
    /// Whether a head has been read in full. The next ones are alike, so looking for their end is
    /// enough.
    known: bool,
}

impl Connection {
    fn open(ask: Ask, request: &[u8]) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(ask.address)?;
        stream.set_nodelay(true)?;
        let mut connection = Self {
            stream,
            asked: Instant::now(),
            left: None,
            known: false,
        };
        connection.ask(request)?;
        Ok(connection)
    }

    fn ask(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.left = None;
        self.asked = Instant::now();
        self.stream.write_all(request).context("sending a request")
    }

    /// Takes what is there; true when that completes the answer.
    fn take(&mut self, ask: Ask, gulp: &mut [u8], tally: &Tally) -> anyhow::Result<bool> {
        let left = match self.left {
            None => self.take_head(ask, gulp, tally)?,
            Some(left) => {
                let most = usize::try_from(left)?.min(gulp.len());
                let flags = RecvFlags::TRUNC | RecvFlags::DONTWAIT;
                let (_, taken) = recv(&self.stream, &mut gulp[..most], flags)?;
                ensure!(
                    taken > 0,
                    "the connection ended {left} bytes before the body's end"
                );
                tally.received(taken as u64);
                left - taken as u64
            }
        };
        self.left = Some(left);
        Ok(left == 0)
    }

    fn take_head(&mut self, ask: Ask, gulp: &mut [u8], tally: &Tally) -> anyhow::Result<u64> {
        // A head of this size comes in one piece from every server here.
        let (_, taken) = recv(&self.stream, &mut gulp[..MAX_HEAD], RecvFlags::DONTWAIT)?;
        let bytes = &gulp[..taken];
        ensure!(taken > 0, "the connection ended before an answer");
        let end = if self.known {
            ensure!(bytes.starts_with(b"HTTP/1.1 200 "), "not a 200");
            memmem::find(bytes, b"\r\n\r\n").context("a whole head")? + 4
        } else {
            let head = http::head(bytes)?.context("a whole head")?;
            ensure!(head.status == 200, "{} for {}", head.status, ask.path);
            ensure!(
                head.length == ask.length,
                "{} bytes of {}",
                head.length,
                ask.length
            );
            self.known = true;
            head.end
        };
        let body = (taken - end) as u64;
        tally.received(body);
        ask.length
            .checked_sub(body)
            .context("more than was announced")
    }
}
