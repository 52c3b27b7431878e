//! The network between replicas, which can be cut: each is known to the others by an address that leads to it
//! by way of here.
//!
//! All of them dial from the same address. Who it is that dials says the first request on a connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The ways to all replicas.
pub(super) struct Between {
    addresses: Arc<[SocketAddr]>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Those below this number do not reach the others, nor are reached by them.
    cut: Option<usize>,
    /// Ends what runs across the cut.
    ends: Vec<(Option<usize>, usize, CancellationToken)>,
}

impl Between {
    /// Ways to the replicas that listen at `own`.
    pub(super) async fn start(own: &[SocketAddr]) -> Self {
        let (state, tasks): (Arc<Mutex<State>>, _) = (Arc::default(), TaskTracker::new());
        let binding = own.iter().map(|_| TcpListener::bind(("127.0.0.1", 0)));
        let listeners = try_join_all(binding).await.expect("free ports");
        let addresses = listeners.iter().map(TcpListener::local_addr);
        let addresses: Arc<[_]> = addresses.map(|bound| bound.expect("it is bound")).collect();
        for (number, listener) in listeners.into_iter().enumerate() {
            let (all, state) = (Arc::clone(&addresses), Arc::clone(&state));
            let ways = (listener, (number, own[number]));
            tasks.spawn(carry_all(ways, all, state, tasks.clone()));
        }
        Self { addresses, state }
    }

    /// The addresses that the replicas know each other by.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Ends all connections: those that come next are of replicas that know their own names.
    pub(super) fn begin_anew(&self) {
        self.state.lock().expect("no panic under it").end_all();
    }

    /// Those below `number` and the others hear nothing of each other.
    pub(super) fn cut(&self, number: usize) {
        let mut state = self.state.lock().expect("no panic under it");
        state.cut = Some(number);
        for (from, to, end) in &state.ends {
            if from.is_some_and(|from| (from < number) != (*to < number)) {
                end.cancel();
            }
        }
    }

    /// All of them are one again.
    pub(super) fn heal(&self) {
        let mut state = self.state.lock().expect("no panic under it");
        state.cut = None;
        state.end_all();
    }
}

impl State {
    fn end_all(&mut self) {
        for (_, _, end) in self.ends.drain(..) {
            end.cancel();
        }
    }

    /// Whether what `from` dials reaches `to`.
    fn reaches(&self, from: Option<usize>, to: usize) -> bool {
        let is_across = |cut: usize| from.is_none_or(|from| (from < cut) != (to < cut));
        !self.cut.is_some_and(is_across)
    }
}

async fn carry_all(
    (listener, to): (TcpListener, (usize, SocketAddr)),
    addresses: Arc<[SocketAddr]>,
    state: Arc<Mutex<State>>,
    tasks: TaskTracker,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (addresses, state) = (Arc::clone(&addresses), Arc::clone(&state));
        tasks.spawn(carry(stream, addresses, to, state));
    }
}

async fn carry(
    mut stream: TcpStream,
    addresses: Arc<[SocketAddr]>,
    (number, to): (usize, SocketAddr),
    state: Arc<Mutex<State>>,
) {
    let head = first_head(&mut stream).await;
    let name = String::from_utf8_lossy(&head).into_owned();
    let name = name
        .lines()
        .find_map(|line| line.strip_prefix("archway-from: "));
    let is_it = |address: &SocketAddr| Some(address.to_string().as_str()) == name;
    let dialler = addresses.iter().position(is_it);
    let end = CancellationToken::new();
    let reaches = {
        let mut state = state.lock().expect("no panic under it");
        state.ends.push((dialler, number, end.clone()));
        state.reaches(dialler, number)
    };
    if !reaches {
        // As on a line that is cut: nothing comes back.
        return end.cancelled().await;
    }
    let carried = async {
        let mut there = TcpStream::connect(to).await?;
        there.write_all(&head).await?;
        tokio::io::copy_bidirectional(&mut stream, &mut there).await
    };
    // Either end may break off.
    let _ = end.run_until_cancelled(carried).await;
}

/// The head of the first request of a connection, or what there is of it.
async fn first_head(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(read) if read > 0 => {}
            _ => break,
        }
    }
    head
}
