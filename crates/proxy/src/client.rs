//! The binary as a client: of a running Archway, or straight of an upstream. What the commands that look at images ask with.

mod choice;
mod direct;
mod error;
mod pinned;
mod place;
mod reference;
mod server;

pub(crate) use self::server::accepting;
pub use self::{direct::Direct, error::ClientError, reference::ImageName, server::Server};
