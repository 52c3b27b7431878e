//! How many files and connections this process may have open at once.
//!
//! Many systems start a service with a soft limit of 1024 descriptors, far below its hard limit. At
//! the limit nothing can be opened or accepted, so the binary compares the configuration with it
//! before it opens anything.

use config::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Descriptors for what no bound counts: listeners, the index, the log, connections for tokens and
/// those kept open for the next call.
const UNCOUNTED_DESCRIPTORS: usize = 64;

/// With those whose bounds are no keys: clients that wait, the admin listener and the admin socket.
const RESERVED_DESCRIPTORS: usize =
    UNCOUNTED_DESCRIPTORS + server::OTHER_CONNECTIONS + control::SOCKET_CONNECTIONS;

/// Descriptors of one download: its file for writing and for reading, its journal, its connection;
/// and the connection of one past the cache, of which there may be as many.
const DESCRIPTORS_PER_FILL: usize = 5;

/// Raises the soft limit to the hard one. Where that is not enough, it lowers the bounds of open
/// files and client connections in `config`: clients then wait instead of getting errors.
pub(crate) fn fit(config: &mut Config) {
    let Some(limit) = raised() else { return };
    let wanted = Shares {
        files: config.cache.max_open_files,
        connections: config.server.max_connections,
    };
    let fills = DESCRIPTORS_PER_FILL * config.cache.max_fills + config.cache.max_extra_connections;
    let taken = RESERVED_DESCRIPTORS + config.cache.max_calls + fills;
    let granted = wanted.within(limit.saturating_sub(taken));
    if granted == wanted {
        return;
    }
    warn!(
        limit,
        needed = taken + wanted.files + wanted.connections,
        max_open_files = granted.files,
        max_connections = granted.connections,
        "this process may open too few files for its configuration and runs with the bounds in this line: raise the hard \
         limit (LimitNOFILE in systemd, `ulimit -Hn`), or lower cache.max_open_files, cache.max_fills and \
         server.max_connections",
    );
    config.cache.max_open_files = granted.files;
    let server = &mut config.server;
    server.max_connections = granted.connections;
    server.max_connections_per_address =
        server.max_connections_per_address.min(granted.connections);
}

/// The limit, raised as far as this process may; `None` where there is none.
fn raised() -> Option<usize> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let highest = Rlimit {
        current: maximum,
        maximum,
    };
    let limit = match setrlimit(Resource::Nofile, highest) {
        Ok(()) => maximum,
        Err(error) => {
            warn!(%error, "the open-file limit could not be raised");
            current
        }
    };
    limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// How the descriptors the limit leaves are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shares {
    files: usize,
    connections: usize,
}

impl Shares {
    /// These shares, cut to `room`. Connections go first, since an idle file only saves an `open`;
    /// but files keep a quarter, and neither share is ever zero.
    fn within(self, room: usize) -> Self {
        let files = self
            .files
            .min(room.saturating_sub(self.connections).max(room / 4));
        let connections = self.connections.min(room - files);
        Self {
            files: files.max(1),
            connections: connections.max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_the_documents_say() {
        assert_eq!(RESERVED_DESCRIPTORS, 336);
    }

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
