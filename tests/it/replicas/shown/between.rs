//! The network between replicas, which can be cut: each is known to the others by an address that leads to it
//! by way of here.
//!
//! All of them dial from the same address. Who it is that dials, the kernel tells: the socket at the other
//! end of a connection is one of a process.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use integration_tests::proxy::Archway;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The ways to all replicas.
pub(super) struct Between {
    addresses: Vec<SocketAddr>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The numbers of the replicas by their processes.
    processes: HashMap<u32, usize>,
    /// Those below this number do not reach the others, nor are reached by them.
    cut: Option<usize>,
    /// Ends what runs across the cut.
    ends: Vec<(Option<usize>, usize, CancellationToken)>,
}

impl Between {
    /// Ways to the replicas that listen at `own`.
    pub(super) async fn start(own: &[SocketAddr]) -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let (mut addresses, tasks) = (Vec::new(), TaskTracker::new());
        for (number, to) in own.iter().enumerate() {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await;
            let listener = listener.expect("a free port");
            addresses.push(listener.local_addr().expect("it is bound"));
            let (to, state, own) = ((number, *to), Arc::clone(&state), tasks.clone());
            tasks.spawn(carry_all(listener, to, state, own));
        }
        Self { addresses, state }
    }

    /// The addresses that the replicas know each other by.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    /// These are the replicas, in the order of their addresses.
    pub(super) fn know(&self, replicas: &[Archway]) {
        let mut state = self.state.lock().expect("no panic under it");
        let processes = replicas.iter().map(Archway::pid).zip(0..);
        state.processes = processes.collect();
        // From here on each is known by who has made it.
        for (_, _, end) in state.ends.drain(..) {
            end.cancel();
        }
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
        for (_, _, end) in state.ends.drain(..) {
            end.cancel();
        }
    }
}

impl State {
    /// Whether what `from` dials reaches `to`.
    fn reaches(&self, from: Option<usize>, to: usize) -> bool {
        let is_across = |cut: usize| from.is_none_or(|from| (from < cut) != (to < cut));
        !self.cut.is_some_and(is_across)
    }
}

async fn carry_all(
    listener: TcpListener,
    to: (usize, SocketAddr),
    state: Arc<Mutex<State>>,
    tasks: TaskTracker,
) {
    while let Ok((stream, from)) = listener.accept().await {
        tasks.spawn(carry(stream, from, to, Arc::clone(&state)));
    }
}

async fn carry(
    mut stream: TcpStream,
    from: SocketAddr,
    (number, to): (usize, SocketAddr),
    state: Arc<Mutex<State>>,
) {
    let processes = state.lock().expect("no panic under it").processes.clone();
    let found = tokio::task::spawn_blocking(move || dialled_by(from, &processes));
    let dialler = found.await.expect("no panic in it");
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
    if let Ok(mut there) = TcpStream::connect(to).await {
        let both = tokio::io::copy_bidirectional(&mut stream, &mut there);
        end.run_until_cancelled(both).await;
    }
}

/// The number of the replica whose socket has this address.
fn dialled_by(from: SocketAddr, processes: &HashMap<u32, usize>) -> Option<usize> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    let port = format!(":{:04X}", from.port());
    let mut lines = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = lines.find(|words| words.get(1).is_some_and(|local| local.ends_with(&port)))?;
    let socket = format!("socket:[{}]", line.get(9)?);
    let has_it = |process: &u32| {
        let files = std::fs::read_dir(format!("/proc/{process}/fd"));
        let mut files = files.into_iter().flatten().flatten();
        files.any(|file| {
            let target = std::fs::read_link(file.path());
            target.is_ok_and(|target| target.as_os_str() == socket.as_str())
        })
    };
    processes
        .iter()
        .find(|(process, _)| has_it(process))
        .map(|(_, number)| *number)
}
