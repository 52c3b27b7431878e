//! How many files and connections this process may have open at once.
//!
//! Many systems start a service with a soft limit of 1024, far below what it may raise that to itself. At the limit nothing
//! can be opened or accepted, so what the configuration allows is held against it before anything is.

use config::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// What is open beside files of the cache and connections of clients: listeners and the connections to the admin one, the
/// index, the log, connections for tags and tokens.
const RESERVE: usize = 256;

/// What one download has open: its file for writing and for reading, its journal, its connection.
const PER_FILL: usize = 4;

/// Raises the limit as far as it goes. Where that is not enough, files kept open and clients' connections are bounded to what
/// it leaves them: clients then wait for their turn, where they would have got errors.
pub fn fit(config: &mut Config) {
    let Some(limit) = raised() else { return };
    let wanted = Shares {
        files: config.cache.max_open_files,
        connections: config.server.max_connections,
    };
    let fills = PER_FILL * config.cache.max_fills + config.cache.max_extra_connections;
    let taken = RESERVE + fills;
    let granted = wanted.within(limit.saturating_sub(taken));
    if granted == wanted {
        return;
    }
    warn!(
        limit,
        needed = taken + wanted.files + wanted.connections,
        max_open_files = granted.files,
        max_connections = granted.connections,
        "this process may open too few files for its configuration and uses these bounds: raise the limit (LimitNOFILE of \
         systemd, `ulimit -Hn`), or lower cache.max_open_files, cache.max_fills and server.max_connections",
    );
    config.cache.max_open_files = granted.files;
    config.server.max_connections = granted.connections;
}

/// The limit, once it is as high as this process may set it; `None` where there is none.
fn raised() -> Option<usize> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let highest = Rlimit {
        current: maximum,
        maximum,
    };
    let limit = match setrlimit(Resource::Nofile, highest) {
        Ok(()) => maximum,
        Err(error) => {
            warn!(%error, "the limit of open files cannot be raised");
            current
        }
    };
    limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Who shares what the limit leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shares {
    files: usize,
    connections: usize,
}

impl Shares {
    /// As much of it as there is room for. An idle file is a convenience, a connection is a client: files have what clients
    /// leave them, and a quarter at least. None of both is ever zero.
    fn within(self, room: usize) -> Shares {
        let files = self
            .files
            .min(room.saturating_sub(self.connections).max(room / 4));
        let connections = self.connections.min(room - files);
        Shares {
            files: files.max(1),
            connections: connections.max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_go_before_idle_files_but_for_a_quarter_and_both_stay_within_the_room() {
        let shares = |files, connections| Shares { files, connections };
        for (wanted, room, expected) in [
            (shares(1024, 10_000), usize::MAX, shares(1024, 10_000)),
            (shares(1024, 10_000), 11_024, shares(1024, 10_000)),
            (shares(1024, 10_000), 4000, shares(1000, 3000)),
            (shares(5000, 1000), 4000, shares(3000, 1000)),
            (shares(10, 500), 400, shares(10, 390)),
            (shares(1024, 10_000), 0, shares(1, 1)),
        ] {
            assert_eq!(wanted.within(room), expected, "{wanted:?} {room}");
        }
    }
}
