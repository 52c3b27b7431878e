//! The URLs at which this machine reaches the Archway that a configuration starts.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use config::{Config, Listener};
use protocol::forwarded;

/// The listener to ask: preferably one without a platform of its own, since that changes answers,
/// then one without TLS. A listener with a random port cannot be found; one that expects a PROXY
/// header from this machine, or is not for its clients, cannot be asked.
pub(crate) fn listener(config: &Config) -> Option<&Listener> {
    let trusted = &config.server.trusted_proxies;
    let answers = |listener: &&Listener| {
        listener.address.port() != 0
            && listener
                .access
                .allows_client(reachable(listener.address).ip())
            && !(listener.proxy_protocol
                && forwarded::is_trusted(reachable(listener.address).ip(), trusted))
    };
    let listeners = config.listeners.iter().filter(answers);
    listeners.min_by_key(|listener| (listener.platform.is_some(), listener.tls.is_some()))
}

/// The listener's URL.
pub(crate) fn registry(listener: &Listener) -> String {
    let scheme = if listener.tls.is_some() {
        "https"
    } else {
        "http"
    };
    format!("{scheme}://{}", reachable(listener.address))
}

/// The admin listener's URL.
pub(crate) fn admin(config: &Config) -> Option<String> {
    let address = config.admin.address.filter(|address| address.port() != 0)?;
    Some(format!("http://{}", reachable(address)))
}

/// The address of a listener for a client on the same machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_listener_without_a_platform_is_asked_where_there_is_one() {
        let port = |listeners: &str| {
            let text =
                format!("listener = [{listeners}]\n[server]\ntrusted_proxies = [\"127.0.0.0/8\"]");
            let config = Config::parse("archway.toml", &text).unwrap();
            listener(&config).map(|listener| listener.address.port())
        };
        let with_platform = "{ address = \"127.0.0.1:1\", platform = \"linux/arm64\" }";
        let balanced = "{ address = \"0.0.0.0:2\", proxy_protocol = true }";
        let anywhere = "{ address = \"127.0.0.1:0\" }";
        let plain = "{ address = \"127.0.0.1:3\" }";
        let for_others = "{ address = \"127.0.0.1:4\", allow_from = [\"10.0.0.0/8\"] }";
        for (listeners, expected) in [
            (vec![with_platform, balanced, anywhere, plain], Some(3)),
            (vec![anywhere, balanced, with_platform], Some(1)),
            (vec![for_others, plain], Some(3)),
            (vec![anywhere, balanced, for_others], None),
        ] {
            assert_eq!(port(&listeners.join(", ")), expected, "{listeners:?}");
        }
    }
}
