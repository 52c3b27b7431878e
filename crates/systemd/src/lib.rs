//! The service manager's side of the process: which sockets it hands over, and what it is told.
//!
//! Owns the protocols `sd_listen_fds(3)` and `sd_notify(3)`, which systemd has and others copy.
//! Without a service manager there are no sockets, and nobody is told anything. Refuses to know
//! what is served on a socket, and what a reload does.

mod service_manager;
mod sockets;

pub use service_manager::{Reload, ServiceManager};
pub use sockets::{HandedSockets, HandedSocketsError};
