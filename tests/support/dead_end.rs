//! Addresses where something listens that is no server: it hangs up, at first or always, or it
//! never even accepts.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::faults::Cut;

/// How long a connection that is not accepted at once has been turned down by a full queue.
const FULL: Duration = Duration::from_millis(100);

/// More connections than any queue of this kind takes.
const MOST: usize = 64;

/// Something at an address, until it is dropped.
pub struct DeadEnd {
    address: SocketAddr,
    // Held open; the kernel does the rest.
    _listener: Option<tokio::net::TcpListener>,
    _fillers: Vec<TcpStream>,
    _accepting: Option<DropGuard>,
}

fn listen(address: SocketAddr, backlog: u32) -> tokio::net::TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("a fresh socket");
    socket.bind(address).expect("the port is free");
    socket.listen(backlog).expect("a bound socket")
}

/// Takes the head of a request, and ends the connection.
async fn hang_up(mut stream: TcpStream, how: Cut) {
    if how == Cut::Rst {
        let _ = stream.read_u8().await;
        let _ = stream.set_zero_linger();
        return;
    }
    // A connection that is dropped with unread bytes ends with a reset.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n")
        && let Ok(byte) = stream.read_u8().await
    {
        head.push(byte);
    }
}

impl DeadEnd {
    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// On a free port: takes a request on its first connection and ends it like this; the other
    /// connections lead to `behind`.
    pub fn at_first(how: Cut, behind: SocketAddr) -> Self {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)), 128);
        let address = listener.local_addr().expect("it listens");
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let (stopped, connections) = (stop.clone(), tasks.clone());
        tasks.spawn(async move {
            let mut is_first = true;
            while let Some(Ok((mut stream, _))) =
                stopped.run_until_cancelled(listener.accept()).await
            {
                if std::mem::take(&mut is_first) {
                    hang_up(stream, how).await;
                    continue;
                }
                connections.spawn(async move {
                    let mut server = TcpStream::connect(behind).await.expect("it listens");
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
                });
            }
        });
        Self {
            address,
            _listener: None,
            _fillers: Vec::new(),
            _accepting: Some(stop.drop_guard()),
        }
    }

    /// Accepts, and resets each connection once it has said something; with the port 0 on a free one.
    pub fn resetting(address: SocketAddr) -> Self {
        let listener = listen(address, 128);
        let address = listener.local_addr().expect("it listens");
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let (stopped, connections) = (stop.clone(), tasks.clone());
        tasks.spawn(async move {
            while let Some(Ok((stream, _))) = stopped.run_until_cancelled(listener.accept()).await {
                connections.spawn(async move {
                    let _ = stream.readable().await;
                    let _ = stream.set_zero_linger();
                });
            }
        });
        Self {
            address,
            _listener: None,
            _fillers: Vec::new(),
            _accepting: Some(stop.drop_guard()),
        }
    }

    /// Takes no connection: its queue is full, and the kernel drops what else knocks. With the port 0
    /// on a free one.
    pub async fn black_hole(address: SocketAddr) -> Self {
        let listener = listen(address, 0);
        let address = listener.local_addr().expect("it listens");
        let mut fillers = Vec::new();
        while let Ok(filler) = tokio::time::timeout(FULL, TcpStream::connect(address)).await {
            fillers.push(filler.expect("it listens"));
            assert!(fillers.len() < MOST, "the queue of {address} never fills");
        }
        Self {
            address,
            _listener: Some(listener),
            _fillers: fillers,
            _accepting: None,
        }
    }
}
