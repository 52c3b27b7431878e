//! The binary as a client: of a running Archway, or straight of an upstream. What the commands that look at images ask with.

mod choice;
mod direct;
mod error;
mod pinned;
mod place;
mod server;

pub(crate) use self::server::accepting;
pub(crate) use self::{direct::Direct, error::ClientError, server::Server};
