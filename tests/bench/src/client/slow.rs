//! Very many clients that each take a little at a time, on one thread.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketType, connect, recv, socket, sockopt};

use super::http::{self, MAX_HEAD};

/// How often every client takes its share.
const TICK: Duration = Duration::from_millis(50);
/// The receive buffer of a slow client: small, so that the server has to hold what is not taken
/// yet.
const BUFFER: usize = 128 << 10;

/// A crowd of slow clients.
#[derive(Clone, Copy)]
pub(crate) struct Slow {
    pub(crate) clients: usize,
    /// Bytes per second of each.
    pub(crate) rate: u64,
    pub(crate) time: Duration,
}

/// How it went.
pub(crate) struct Served {
    /// Clients that got a 200.
    pub(crate) answered: usize,
    /// Bytes per second of the client at the median, and of the one that got least.
    pub(crate) median: f64,
    pub(crate) least: f64,
}

struct Client {
    stream: TcpStream,
    begun: Instant,
    received: u64,
}

/// Runs them all on `path`, which must be longer than what they take.
pub(crate) fn run(address: SocketAddr, path: &str, slow: Slow) -> anyhow::Result<Served> {
    let request = http::request(address, path, None);
    let mut clients = (0..slow.clients)
        .map(|_| Client::open(address, &request))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut gulp = vec![0; 1 << 20];
    let begun = Instant::now();
    while begun.elapsed() < slow.time {
        let tick = Instant::now();
        for client in &mut clients {
            client.take(slow.rate, &mut gulp)?;
        }
        thread::sleep(TICK.saturating_sub(tick.elapsed()));
    }
    let mut rates: Vec<f64> = clients.iter().map(Client::rate).collect();
    rates.sort_by(f64::total_cmp);
    let answered = clients.iter().filter(|client| client.received > 0);
    Ok(Served {
        answered: answered.count(),
        median: rates.get(rates.len() / 2).copied().context("no client")?,
        least: rates.first().copied().context("no client")?,
    })
}

impl Client {
    fn open(address: SocketAddr, request: &[u8]) -> anyhow::Result<Self> {
        let fd: OwnedFd = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        // Before the connect, or the window would be announced for a larger one.
        sockopt::set_socket_recv_buffer_size(&fd, BUFFER)?;
        connect(&fd, &address)?;
        let mut stream = TcpStream::from(fd);
        stream.write_all(request)?;
        Ok(Self {
            stream,
            begun: Instant::now(),
            received: 0,
        })
    }

    /// Takes what its rate allows by now.
    fn take(&mut self, rate: u64, gulp: &mut [u8]) -> anyhow::Result<()> {
        let due = (self.begun.elapsed().as_secs_f64() * rate as f64).round();
        while (self.received as f64) < due {
            let (flags, most) = if self.received == 0 {
                (RecvFlags::DONTWAIT, MAX_HEAD)
            } else {
                (
                    RecvFlags::DONTWAIT | RecvFlags::TRUNC,
                    rest(due, self.received),
                )
            };
            let most = most.min(gulp.len());
            let taken = match recv(&self.stream, &mut gulp[..most], flags) {
                Ok((_, taken)) => taken,
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            ensure!(
                taken > 0,
                "a slow client was cut off after {}",
                self.received
            );
            if self.received == 0 {
                ensure!(gulp.starts_with(b"HTTP/1.1 200 "), "not a 200");
            }
            self.received += taken as u64;
        }
        Ok(())
    }

    fn rate(&self) -> f64 {
        self.received as f64 / self.begun.elapsed().as_secs_f64()
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a whole number of bytes that is larger than what was received"
)]
fn rest(due: f64, received: u64) -> usize {
    (due as u64 - received) as usize
}
