//! The registry listeners that are open, and following those of the configuration.
//!
//! Owns which listeners there are. Their sockets and connections are `server`'s.

use std::{io, net::SocketAddr};

use axum::Router;
use config::Listener;
use server::{Bound, ListenerHandle, Server};
use tokio_util::task::TaskTracker;
use tracing::info;

/// The open registry listeners.
#[derive(Debug)]
pub(crate) struct Listeners {
    server: Server,
    router: Router,
    tasks: TaskTracker,
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    /// As the configuration has it: port 0 is any.
    address: SocketAddr,
    handle: ListenerHandle,
}

/// Why a listener of the configuration cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address}; is something else running there? If it is this Archway, with the same port on another address, restart it"
)]
pub(crate) struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

impl Listeners {
    /// None yet. Each is served on a task of its own.
    pub(crate) fn new(server: Server, router: Router, tasks: TaskTracker) -> Self {
        Self {
            server,
            router,
            tasks,
            open: Vec::new(),
        }
    }

    /// Serves a listener that is bound, as the configuration has it at `address`.
    pub(crate) fn serve(&mut self, address: SocketAddr, bound: Bound) {
        self.open
            .extend(bound.handle().map(|handle| Open { address, handle }));
        let server = self.server.clone();
        self.tasks.spawn(async move { server.serve(bound).await });
    }

    /// Opens what is new, gives the others their settings, and closes those that are gone, whose
    /// running requests end first. If one cannot be opened, all stay as they are.
    pub(crate) async fn follow(&mut self, wanted: &[Listener]) -> Result<(), ListenError> {
        let mut left: Vec<Open> = std::mem::take(&mut self.open);
        let (mut kept, mut missing) = (Vec::new(), Vec::new());
        for listener in wanted {
            match left
                .iter()
                .position(|open| open.address == listener.address)
            {
                Some(at) => kept.push((left.remove(at), listener)),
                None => missing.push(listener),
            }
        }
        let mut new = Vec::new();
        for listener in missing {
            let address = listener.address;
            match Bound::registry(listener.clone(), self.router.clone(), None).await {
                Ok(bound) => new.push((address, bound)),
                Err(source) => {
                    self.open = kept.into_iter().map(|(open, _)| open).chain(left).collect();
                    return Err(ListenError { address, source });
                }
            }
        }
        for (open, listener) in kept {
            open.handle.replace(listener.clone());
            self.open.push(open);
        }
        for (address, bound) in new {
            self.serve(address, bound);
        }
        for open in left {
            info!(address = %open.address, "a listener is closed: the configuration has it no longer");
            open.handle.close();
        }
        Ok(())
    }
}
