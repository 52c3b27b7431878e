//! Where a redirect may lead.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use protocol::host::Host as RegistryHost;
use url::{Host, Url};

/// Redirects followed for one request: registry -> store, with room for a CDN in between.
pub(super) const MAX_HOPS: usize = 5;

/// The target of `location` as seen from `current`, or why we do not go there. `origin` is the endpoint first asked: what the
/// operator has configured on a private address may redirect to private addresses, and anybody to the hosts in `private`;
/// nobody else may.
pub(super) fn target(
    current: &Url,
    location: &str,
    origin: &Url,
    private: &[RegistryHost],
) -> Result<Url, &'static str> {
    let target = current
        .join(location)
        .map_err(|_| "its address cannot be read")?;
    match target.scheme() {
        "https" => {}
        "http" if current.scheme() == "http" => {}
        "http" => return Err("from https to http"),
        _ => return Err("it is neither http nor https"),
    }
    if private.iter().any(|host| means(host, &target)) {
        return Ok(target);
    }
    // The resolver, which sees no ports, lets the name pass.
    if private
        .iter()
        .any(|host| Some(host.name()) == target.host_str())
    {
        return Err("a port that `private_hosts` does not name");
    }
    check_host(&target, origin)?;
    Ok(target)
}

/// Whether `host` is the URL's, on any port where it names none.
pub(super) fn means(host: &RegistryHost, url: &Url) -> bool {
    let Some(name) = url.host_str() else {
        return false;
    };
    let port = url.port_or_known_default();
    host.name() == name
        && (host.as_str() == name
            || port.is_some_and(|port| host.as_str() == format!("{name}:{port}")))
}

/// Refuses addresses inside our own machine or network, unless the configured endpoint is there itself.
///
/// Literal addresses and the names that always mean this machine are judged here; what other names resolve to, by the resolver.
pub(super) fn check_host(target: &Url, origin: &Url) -> Result<(), &'static str> {
    let refused = match target.host() {
        Some(Host::Ipv4(address)) => is_local(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_local(IpAddr::V6(address)),
        Some(Host::Domain(name)) => is_local_name(name),
        None => return Err("it names no host"),
    };
    if is_metadata(target) {
        return Err("an instance metadata address");
    }
    if refused && !is_internal(origin) {
        Err("an address of this machine or network")
    } else {
        Ok(())
    }
}

fn is_internal(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => is_local(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_local(IpAddr::V6(address)),
        Some(Host::Domain(name)) => is_local_name(name),
        None => false,
    }
}

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

/// Whether it is on this machine, its link or a private network.
pub(super) fn is_local(address: IpAddr) -> bool {
    match plain(address) {
        IpAddr::V4(address) => {
            // Shared address space (RFC 6598): pods of some clusters live there.
            let is_shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
            address.octets()[0] == 0
                || address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || is_shared
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_unique_local()
                || address.is_unicast_link_local()
        }
    }
}

/// The IPv4 address inside an IPv6 one that stands for it: mapped, or behind NAT64 (RFC 6052).
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else {
        return address;
    };
    let nat64 = match six.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    };
    six.to_ipv4_mapped().or(nat64).map_or(address, IpAddr::V4)
}

fn is_metadata(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => is_metadata_address(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_metadata_address(IpAddr::V6(address)),
        Some(Host::Domain(name)) => name
            .trim_end_matches('.')
            .eq_ignore_ascii_case("metadata.google.internal"),
        None => false,
    }
}

/// Where clouds hand out credentials (EC2, ECS, EKS Pod Identity, and their IPv6 twins; Alibaba): never a store of blobs.
pub(super) fn is_metadata_address(address: IpAddr) -> bool {
    const V4: [Ipv4Addr; 4] = [
        Ipv4Addr::new(169, 254, 169, 254),
        Ipv4Addr::new(169, 254, 170, 2),
        Ipv4Addr::new(169, 254, 170, 23),
        Ipv4Addr::new(100, 100, 100, 200),
    ];
    const V6: [Ipv6Addr; 2] = [
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    ];
    match plain(address) {
        IpAddr::V4(address) => V4.contains(&address),
        IpAddr::V6(address) => V6.contains(&address),
    }
}

/// Whether credentials may go along: only to the very place they were meant for.
pub(super) fn same_place(left: &Url, right: &Url) -> bool {
    left.scheme() == right.scheme()
        && left.host() == right.host()
        && left.port_or_known_default() == right.port_or_known_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(from: &str, to: &str) -> Result<Url, &'static str> {
        let from = Url::parse(from).unwrap();
        target(&from, to, &from, &[])
    }

    #[test]
    fn what_the_operator_names_may_be_a_private_place() {
        let from = Url::parse("https://registry.example/v2/").unwrap();
        let private = ["10.0.0.7", "localhost:9000", "minio.internal:9000"];
        let private = private.map(|host| host.parse().unwrap());
        for (to, allowed) in [
            ("https://10.0.0.7/x", true),
            ("https://10.0.0.7:9000/x", true),
            ("https://10.0.0.8/x", false),
            ("https://localhost:9000/x", true),
            ("https://localhost/x", false),
            ("https://minio.internal:9000/x", true),
            ("https://minio.internal:22/x", false),
        ] {
            assert_eq!(target(&from, to, &from, &private).is_ok(), allowed, "{to}");
        }
    }

    #[test]
    fn a_store_elsewhere_is_followed() {
        let target = follow(
            "https://registry.example/v2/",
            "https://bucket.s3.example/x?sig=1",
        )
        .unwrap();
        assert_eq!(target.as_str(), "https://bucket.s3.example/x?sig=1");
        assert_eq!(
            follow("https://registry.example/v2/a", "/other")
                .unwrap()
                .as_str(),
            "https://registry.example/other"
        );
    }

    #[test]
    fn https_never_becomes_http() {
        assert!(follow("https://registry.example/v2/", "http://registry.example/x").is_err());
        assert!(follow("https://registry.example/v2/", "file:///etc/passwd").is_err());
    }

    #[test]
    fn a_public_registry_does_not_lead_into_the_private_network() {
        for to in [
            "https://127.0.0.1/",
            "https://10.0.0.1/",
            "https://[::1]/",
            "https://localhost/",
            "https://[::ffff:10.0.0.1]/",
            "https://[64:ff9b::10.0.0.1]/",
            "https://100.64.0.1/",
            "https://0.1.2.3/",
        ] {
            assert!(follow("https://registry.example/", to).is_err(), "{to}");
        }
        assert!(follow("http://127.0.0.1:5000/", "http://127.0.0.1:9000/bucket").is_ok());
    }

    #[test]
    fn nobody_leads_to_the_metadata_service() {
        for to in [
            "http://169.254.169.254/latest/",
            "http://[fd00:ec2::254]/",
            "http://169.254.170.23/v1/credentials",
        ] {
            assert!(follow("http://127.0.0.1:5000/", to).is_err(), "{to}");
        }
    }

    #[test]
    fn another_port_is_another_place() {
        let registry = Url::parse("https://registry.example/v2/").unwrap();
        assert!(same_place(
            &registry,
            &Url::parse("https://registry.example:443/x").unwrap()
        ));
        assert!(!same_place(
            &registry,
            &Url::parse("https://registry.example:8443/x").unwrap()
        ));
        assert!(!same_place(
            &registry,
            &Url::parse("https://store.example/x").unwrap()
        ));
    }
}
