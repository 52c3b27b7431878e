//! Everything that is bound: the admin listener, the registry listeners and the admin socket.

use std::net::SocketAddr;

use axum::Router;
use config::Config;
use control::{Control, Socket, SocketError};
use peers::PeerListener;
use protocol::error_chain::ErrorChain;
use pull::Pull;
use replicas::Replicas;
use server::{Bound, Server};
use systemd::HandedSockets;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use super::error::StartError;
use crate::{
    admin::{self, Admin},
    reload::Reloader,
};

/// Everything that is bound.
#[derive(Debug)]
pub(super) struct Sockets {
    admin: Option<Bound>,
    /// Each with its address in the configuration.
    registry: Vec<(SocketAddr, Bound)>,
    /// The admin socket and its routes.
    control: Option<(Socket, Router)>,
    /// Whose downloads others may ask for until the end.
    pull: Pull,
    /// The listener for other replicas.
    peers: Option<(Replicas, PeerListener)>,
}

impl Sockets {
    /// Binds all of them; those that were `handed` over are taken as they are.
    pub(super) async fn bind(
        config: &Config,
        admin: Admin,
        control: Control,
        router: &Router,
        mut handed: HandedSockets,
    ) -> Result<Self, StartError> {
        let (replicas, pull) = (admin.replicas.clone(), admin.pull.clone());
        let pages = admin::router(admin);
        let mut sockets = Self {
            control: bind_socket(config, &pages, control).await?,
            peers: bind_peers(replicas, router).await?,
            pull,
            admin: None,
            registry: Vec::new(),
        };
        let failed = |address| move |source| StartError::Bind { address, source };
        if let Some(address) = config.admin.address {
            let bound = Bound::admin(address, pages, handed.take(address)).await;
            sockets.admin = Some(bound.map_err(failed(address))?);
        }
        for listener in &config.listeners {
            let address = listener.address;
            let bound =
                Bound::registry(listener.clone(), router.clone(), handed.take(address)).await;
            let bound = bound.map_err(failed(address))?;
            sockets.registry.push((address, bound));
        }
        match handed.left() {
            Some(address) => Err(StartError::Unclaimed(address)),
            None => Ok(sockets),
        }
    }

    /// The other replicas, if there are to be some.
    pub(super) fn replicas(&self) -> Option<Replicas> {
        let peers = self.peers.as_ref();
        peers.map(|(replicas, _)| replicas.clone())
    }

    /// Serves all of them, each on a task of its own, the admin listener first, so that an operator
    /// sees the start of the others.
    pub(super) fn serve(
        self,
        reloader: &mut Reloader,
        server: &Server,
        serving: &TaskTracker,
        stop: &CancellationToken,
    ) {
        if let Some(bound) = self.admin {
            let server = server.clone();
            serving.spawn(async move { server.serve(bound).await });
        }
        reloader.serve(self.registry);
        if let Some((_, peers)) = self.peers {
            let (stop, pull) = (stop.clone(), self.pull.clone());
            let brings = move || !pull.running().is_empty();
            serving.spawn(async move { peers.serve(stop, brings).await });
        }
        if let Some((socket, routes)) = self.control {
            serving.spawn(socket.serve(routes, stop.clone()));
        }
    }

    /// The addresses of all listeners, for people.
    pub(super) fn addresses(&self) -> String {
        let bound = self.registry.iter().map(|(_, bound)| bound);
        let all = self.admin.iter().chain(bound);
        let each = all.map(|bound| bound.address().to_string());
        each.collect::<Vec<_>>().join(", ")
    }
}

/// The listener for other replicas, if there are to be some.
async fn bind_peers(
    replicas: Option<Replicas>,
    routes: &Router,
) -> Result<Option<(Replicas, PeerListener)>, StartError> {
    let Some(replicas) = replicas else {
        return Ok(None);
    };
    let address = replicas.listen();
    let bound = PeerListener::bind(&replicas, routes).await;
    let bound = bound.map_err(|source| StartError::Bind { address, source })?;
    Ok(Some((replicas, bound)))
}

/// The socket that takes changes. Where the file system has none, all else is served without it.
async fn bind_socket(
    config: &Config,
    admin: &Router,
    control: Control,
) -> Result<Option<(Socket, Router)>, StartError> {
    let folder = control.pull.cache().folder();
    let Some(path) = config.admin.socket.path(folder) else {
        return Ok(None);
    };
    let socket = match Socket::bind(&path).await {
        Ok(socket) => socket,
        Err(error @ (SocketError::Io { .. } | SocketError::TooLong { .. })) => {
            warn!(error = %ErrorChain(&error), "there is no admin socket: archway reload, refresh and rm cannot reach this process; SIGHUP reads the configuration again");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let routes = admin.clone().merge(control::routes(control));
    Ok(Some((socket, routes)))
}
