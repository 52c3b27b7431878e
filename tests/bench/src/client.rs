//! Clients that cost as little as they can, so that the server is what is measured.

pub(crate) mod crowd;
pub(crate) mod h2load;
pub(crate) mod herd;
pub(crate) mod http;
pub(crate) mod plain;
pub(crate) mod pull;
pub(crate) mod slow;
pub(crate) mod tls;
