//! The binary as a client: of a running Archway, or of an upstream itself. The commands about
//! images send their requests through it.

mod choice;
mod direct;
mod error;
mod pinned;
mod place;
mod server;

pub(crate) use self::server::accepting;
pub(crate) use self::{direct::Direct, error::ClientError, server::Server};
