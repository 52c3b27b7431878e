//! `X-Forwarded-For`: the address of the client behind the load balancers in front of us.
//!
//! Every client can write the header, so it is read from its end, and only while the addresses
//! there belong to trusted proxies. The server asks the same question for the PROXY protocol, and
//! the command line to find a listener it can reach, hence a module of this crate.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// Each load balancer appends the address of its own client.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The addresses read from the chain. Ours are shorter, and a client chooses the length.
const MAX_HOPS: usize = 16;

/// Whether an address lies in one of the `trusted` networks.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

/// The client's address: the last one in the chain that is not a trusted proxy, else the first.
///
/// `peer` is the other end of the connection; the header counts only if the peer is trusted. An
/// invalid address ends the chain, since the author of the part before it is unknown.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let lines: Vec<&str> = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .map(|line| line.to_str().unwrap_or_default())
        .collect();
    let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
    let mut client = peer;
    for hop in hops.take(MAX_HOPS) {
        let Some(address) = address(hop.trim()) else {
            break;
        };
        client = address;
        if !is_trusted(address, trusted) {
            break;
        }
    }
    client
}

/// An address without the port that some load balancers add.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let parsed = bare
        .parse()
        .or_else(|_| text.parse().map(|socket: std::net::SocketAddr| socket.ip()));
    parsed.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn behind(peer: &str, lines: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        client(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    proptest! {
        #[test]
        fn nothing_a_stranger_sends_changes_its_address(line in "[0-9a-f.:, \\[\\]]{0,60}") {
            prop_assert_eq!(behind("192.0.2.1", &[&line]), "192.0.2.1");
            behind("10.0.0.1", &[&line]);
        }
    }

    #[test]
    fn a_stranger_cannot_forward_anything() {
        assert_eq!(behind("192.0.2.1", &["10.9.9.9"]), "192.0.2.1");
    }

    #[test]
    fn the_last_address_that_is_no_proxy_of_ours_is_the_client() {
        assert_eq!(behind("10.0.0.1", &["192.0.2.7"]), "192.0.2.7");
        assert_eq!(
            behind("10.0.0.1", &["1.2.3.4, 192.0.2.7", "10.0.0.2"]),
            "192.0.2.7"
        );
        assert_eq!(behind("::ffff:10.0.0.1", &["192.0.2.7"]), "192.0.2.7");
    }

    #[test]
    fn a_chain_of_proxies_alone_begins_with_the_client() {
        assert_eq!(behind("10.0.0.1", &["10.3.0.1, 10.0.0.2"]), "10.3.0.1");
        assert_eq!(behind("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_is_no_address_ends_the_chain() {
        assert_eq!(
            behind("10.0.0.1", &["192.0.2.7, unknown, 10.0.0.2"]),
            "10.0.0.2"
        );
        assert_eq!(behind("10.0.0.1", &[""]), "10.0.0.1");
    }

    #[test]
    fn ports_and_brackets_are_left_out() {
        assert_eq!(behind("10.0.0.1", &["192.0.2.7:4711"]), "192.0.2.7");
        assert_eq!(behind("10.0.0.1", &["[2001:db8::7]:4711"]), "2001:db8::7");
        assert_eq!(behind("10.0.0.1", &["[2001:db8::7]"]), "2001:db8::7");
        assert_eq!(behind("fd00::1", &["::ffff:192.0.2.7"]), "192.0.2.7");
    }
}
