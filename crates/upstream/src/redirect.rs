//! Where a redirect may lead: the rules against requests into our own machine and network.
//!
//! A target on this machine, link-local or in a private network is refused, unless the endpoint is
//! in such a place itself or the configuration names the host in `private_hosts`. Token realms
//! follow the same rules. This file judges literal addresses; `resolver` judges the addresses of
//! names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use protocol::host::Host as RegistryHost;
use url::{Host, Url};

/// Redirects followed for one request: registry -> store, with room for a CDN in between.
pub(crate) const MAX_HOPS: usize = 5;

/// Why a redirect is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// There is no readable `Location`.
    #[error("the answer names no target")]
    NoTarget,
    /// `Location` is not a URL.
    #[error("the target is not a URL")]
    NotUrl,
    /// From https to http.
    #[error("the target is on http, the request was on https")]
    Downgrade,
    /// Another scheme than http and https.
    #[error("the target is neither on http nor on https")]
    Scheme,
    /// The host is allowed on other ports.
    #[error("the target has a port that `private_hosts` does not name")]
    Port,
    /// The host is not allowed.
    #[error("the target's host is forbidden")]
    Host(#[source] ForbiddenHost),
    /// The chain of redirects is too long.
    #[error("there are more than {MAX_HOPS} redirects")]
    TooMany,
}

/// Why a host is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForbiddenHost {
    /// The URL has no host.
    #[error("the URL names no host")]
    Missing,
    /// The host hands out the credentials of this machine.
    #[error("it is an instance metadata address")]
    Metadata,
    /// The host is inside, and the registry outside.
    #[error("it is an address of this machine or network")]
    Private,
}

/// The target of `location`, resolved against `current`.
///
/// `origin` is the configured endpoint. An endpoint on a private address may redirect to private
/// addresses, and every endpoint to the hosts in `private`; all other redirects must stay public.
pub(crate) fn target(
    current: &Url,
    location: &str,
    origin: &Url,
    private: &[RegistryHost],
) -> Result<Url, RedirectError> {
    let target = current.join(location).map_err(|_| RedirectError::NotUrl)?;
    match target.scheme() {
        "https" => {}
        "http" if current.scheme() == "http" => {}
        "http" => return Err(RedirectError::Downgrade),
        _ => return Err(RedirectError::Scheme),
    }
    if private.iter().any(|host| means(host, &target)) {
        return Ok(target);
    }
    // The resolver, which sees no ports, lets the name pass.
    if private
        .iter()
        .any(|host| Some(host.name()) == target.host_str())
    {
        return Err(RedirectError::Port);
    }
    check_host(&target, origin).map_err(RedirectError::Host)?;
    Ok(target)
}

/// Whether `host` is the URL's, on any port if it names none.
pub(crate) fn means(host: &RegistryHost, url: &Url) -> bool {
    let Some(name) = url.host_str() else {
        return false;
    };
    let port = url.port_or_known_default();
    host.name() == name
        && (host.as_str() == name
            || port.is_some_and(|port| host.as_str() == format!("{name}:{port}")))
}

/// Refuses addresses inside our own machine or network, unless the configured endpoint is there
/// itself.
///
/// Literal addresses and the names that always mean this machine are checked here; the addresses
/// that other names resolve to are checked by the resolver.
pub(crate) fn check_host(target: &Url, origin: &Url) -> Result<(), ForbiddenHost> {
    let refused = match target.host() {
        Some(Host::Ipv4(address)) => is_local(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_local(IpAddr::V6(address)),
        Some(Host::Domain(name)) => is_local_name(name),
        None => return Err(ForbiddenHost::Missing),
    };
    if is_metadata(target) {
        return Err(ForbiddenHost::Metadata);
    }
    if refused && !is_internal(origin) {
        Err(ForbiddenHost::Private)
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
pub(crate) fn is_local(address: IpAddr) -> bool {
    match embedded_ipv4(address) {
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
                || is_local_nat64(address)
                || address.is_unique_local()
                || address.is_unicast_link_local()
        }
    }
}

/// An IPv6 address that embeds an IPv4 one, mapped or behind NAT64 (RFC 6052), as that IPv4
/// address.
fn embedded_ipv4(address: IpAddr) -> IpAddr {
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

/// NAT64 for local use (RFC 8215): the IPv4 addresses behind it are those of somebody's own
/// network, and it is not known where in the address they stand.
fn is_local_nat64(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [0x64, 0xff9b, 1, ..])
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

/// Whether clouds hand out credentials there (EC2, ECS, EKS Pod Identity, and their IPv6 twins;
/// Alibaba; Azure's wire server; Oracle). No store of blobs has such an address.
pub(crate) fn is_metadata_address(address: IpAddr) -> bool {
    const V4: [Ipv4Addr; 6] = [
        Ipv4Addr::new(169, 254, 169, 254),
        Ipv4Addr::new(169, 254, 170, 2),
        Ipv4Addr::new(169, 254, 170, 23),
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(168, 63, 129, 16),
        Ipv4Addr::new(192, 0, 0, 192),
    ];
    const V6: [Ipv6Addr; 2] = [
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    ];
    match embedded_ipv4(address) {
        IpAddr::V4(address) => V4.contains(&address),
        IpAddr::V6(address) if is_local_nat64(address) => {
            // Where RFC 6052 puts the IPv4 address, by the length of the prefix.
            let at = address.octets();
            let embedded = [
                [at[6], at[7], at[9], at[10]],
                [at[7], at[9], at[10], at[11]],
                [at[9], at[10], at[11], at[12]],
                [at[12], at[13], at[14], at[15]],
            ];
            embedded
                .map(Ipv4Addr::from)
                .iter()
                .any(|four| V4.contains(four))
        }
        IpAddr::V6(address) => V6.contains(&address),
    }
}

/// Whether both URLs have one origin. Credentials are sent to the origin they are for, and no
/// other.
pub(crate) fn same_origin(left: &Url, right: &Url) -> bool {
    left.scheme() == right.scheme()
        && left.host() == right.host()
        && left.port_or_known_default() == right.port_or_known_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(from: &str, to: &str) -> Result<Url, RedirectError> {
        let from = Url::parse(from).unwrap();
        target(&from, to, &from, &[])
    }

    #[test]
    fn a_host_that_the_operator_names_may_be_private() {
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
            "https://[64:ff9b:1::8.8.8.8]/",
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
            "http://168.63.129.16/machine?comp=goalstate",
            "http://192.0.0.192/opc/v2/instance/",
            "http://[64:ff9b::168.63.129.16]/",
            "http://[64:ff9b:1::169.254.169.254]/",
            "http://[64:ff9b:1:a9fe:a9:fe00::]/",
        ] {
            assert!(follow("http://127.0.0.1:5000/", to).is_err(), "{to}");
        }
    }

    #[test]
    fn another_port_is_another_origin() {
        let registry = Url::parse("https://registry.example/v2/").unwrap();
        assert!(same_origin(
            &registry,
            &Url::parse("https://registry.example:443/x").unwrap()
        ));
        assert!(!same_origin(
            &registry,
            &Url::parse("https://registry.example:8443/x").unwrap()
        ));
        assert!(!same_origin(
            &registry,
            &Url::parse("https://store.example/x").unwrap()
        ));
    }
}
