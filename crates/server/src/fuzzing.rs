//! Doors for the fuzz targets, which see no more of this crate: built by `cargo fuzz` alone.

use std::{io, net::IpAddr};

use futures_util::FutureExt;

/// The client that the first bytes of a trusted peer name, and the bytes left for HTTP. `None` while
/// the header is not complete.
pub fn proxy_header(mut sent: &[u8]) -> Option<(io::Result<IpAddr>, &[u8])> {
    let peer = "10.0.0.1:4711".parse().expect("an address");
    let trusted = ["10.0.0.0/8".parse().expect("a network")];
    let client = crate::proxy_protocol::client(&mut sent, peer, &trusted).now_or_never()?;
    Some((client, sent))
}

/// Whether the replay below HTTP takes these bytes for one whole request.
pub fn is_one_request(bytes: &[u8]) -> bool {
    crate::replay::is_one_head(bytes)
}
