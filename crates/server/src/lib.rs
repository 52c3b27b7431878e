//! Listeners and connections: accept, TLS, HTTP/1.1 and HTTP/2, zero-copy sending, graceful end.
//!
//! Owns every socket of a client, from `accept` to the last byte: deadlines, TLS handshakes and
//! certificates, PROXY headers, `sendfile`, and the replay of small answers. Refuses to know what a
//! request means: routes come in as a [`axum::Router`], and all that passes between them and a
//! connection is in [`exchange`].
//!
//! Read first: [`exchange`], `listeners.rs`, `connection.rs`, then `zero_copy.rs` and `replay.rs`.
//! The rest would not notice if either of these two were switched off.
//!
//! The accept loop and the TLS handshake are our own, not `axum-server`'s: each connection needs a
//! deadline from its first byte on, and zero-copy and replay need a place between hyper and the
//! socket.

mod activity;
mod connection;
pub mod crypto;
pub mod exchange;
#[cfg(fuzzing)]
pub mod fuzzing;
mod in_place;
mod listeners;
mod memory;
mod metrics;
mod proxy_protocol;
mod replay;
mod seats;
mod sweep;
pub mod time_text;
mod tls;
mod watched;
mod zero_copy;

pub use self::{
    listeners::{Bound, ListenerHandle, OTHER_CONNECTIONS, Server},
    memory::{MemoryBudget, MemoryPressure},
    metrics::ServerMetrics,
    replay::Replays,
};
