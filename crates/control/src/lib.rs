//! What changes a running Archway, and the Unix socket that alone takes such requests.
//!
//! Owns the socket, the routes behind it that change something, and their answers, which the command
//! line reads with the same types. Refuses TCP: whoever may change something is whoever may open a
//! socket of mode 0600. Nothing here decides what an image is (`pull`) or which files go (`cache`).

mod answers;
mod live_config;
mod names;
mod parts;
mod refresh;
mod reload;
mod removal;
mod routes;
mod socket;

pub use self::{
    answers::{Refreshed, RemovedName},
    live_config::LiveConfig,
    names::{RemovalName, RemovalNameError},
    parts::Control,
    reload::{
        ChangedKey, ReloadError, ReloadOutcome, ReloadQueue, ReloadRequests, Reloaded, reloads,
    },
    routes::{REFRESH, RELOAD, REMOVE, RemoveNames, routes},
    socket::{Socket, SocketError},
};
