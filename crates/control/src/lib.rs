//! What changes a running Archway, and the Unix socket that alone takes such requests.
//!
//! Owns the socket, the routes behind it that change something, their answers, which the command line
//! reads with the same types, and the inbox for bundles. Refuses TCP: whoever may change something is whoever may open a
//! socket of mode 0600. Nothing here decides what an image is (`pull`) or which files go (`cache`).

mod answers;
mod descriptors;
mod exports;
mod imports;
mod inbox;
mod kept;
mod live_config;
mod names;
mod parts;
mod refresh;
mod reload;
mod removal;
mod routes;
mod socket;
mod trust;

pub use self::{
    answers::{Refreshed, RemovedName},
    descriptors::MAX_FILES_AT_ONCE,
    exports::NextInSeries,
    imports::{ImportBundles, ImportFailure, ImportFlags, ImportLine, ImportsError},
    inbox::watch_inbox,
    kept::{Purged, RemoveBundles},
    live_config::LiveConfig,
    names::{RemovalName, RemovalNameError},
    parts::{Control, Turns},
    reload::{
        ChangedKey, ReloadError, ReloadOutcome, ReloadQueue, ReloadRequests, Reloaded, reloads,
    },
    routes::{
        BUNDLES, CONTENTS, HOLD, IMPORT, REFRESH, RELOAD, REMOVE, REMOVE_BUNDLES, RemoveNames,
        SERIES, routes,
    },
    socket::{SOCKET_CONNECTIONS, Socket, SocketError},
    trust::{TrustError, named_key},
};
