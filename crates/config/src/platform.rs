//! `[platform]`: what a client is taken for when nothing in its request says so.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use manifest_model::Platform;
use protocol::{
    host::Host,
    platform_request::{ALL, PlatformRequest},
};
use serde::Deserialize;

use super::{
    error::{Problem, Problems},
    field::{Entries, Field, Meaning, Wrong},
    print::Page,
};

const DEFAULT: &str = "linux/amd64";
/// Bits before the IPv4 address in one of IPv6's (`::ffff:0:0/96`).
const MAPPED_PREFIX: u8 = 96;
/// The platform of the machine Archway runs on.
const THIS_MACHINE: &str = "host";

/// Which platform a client is taken for.
#[derive(Debug, Clone, PartialEq)]
pub struct PlatformConfig {
    /// When nothing else speaks.
    pub default: Platform,
    /// By the host name the client asked for; look up with `of_host`.
    pub hosts: BTreeMap<Host, PlatformRequest>,
    /// By the client's address, the longest prefix first; look up with `of_address`.
    pub addresses: Vec<(IpNet, PlatformRequest)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table such as [platform]")]
pub(super) struct RawPlatform {
    default: Option<Field<PlatformValue>>,
    hosts: Entries<Host, Field<PlatformRequestValue>>,
    addresses: Entries<Network, Field<PlatformRequestValue>>,
}

/// A platform of the file; `"host"` has become this machine's.
#[derive(Debug, Clone)]
pub(super) struct PlatformValue(pub(super) Platform);

/// A platform of the file, or `"all"`, where a hint can be given.
#[derive(Debug, Clone)]
pub(super) struct PlatformRequestValue(pub(super) PlatformRequest);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network(pub(super) IpNet);

impl PlatformConfig {
    /// What is configured for a `Host` header, with or without its port.
    pub fn of_host(&self, host: &Host) -> Option<&PlatformRequest> {
        self.hosts
            .get(host)
            .or_else(|| self.hosts.get(&host.without_port()))
    }

    /// What is configured for the narrowest network that holds the address.
    pub fn of_address(&self, address: IpAddr) -> Option<&PlatformRequest> {
        let address = address.to_canonical();
        self.addresses
            .iter()
            .find(|(network, _)| network.contains(&address))
            .map(|(_, wish)| wish)
    }

    pub(super) fn print(&self, page: &mut Page) {
        page.header("[platform]");
        page.string("default", &self.default.to_string());
        page.map("hosts", self.hosts.iter());
        page.map(
            "addresses",
            self.addresses.iter().map(|(network, wish)| (network, wish)),
        );
    }
}

impl RawPlatform {
    pub(super) fn resolve(self, problems: &mut Problems) -> PlatformConfig {
        let default = self
            .default
            .and_then(|field| field.take("default", problems));
        let hosts = pairs(self.hosts, "hosts", problems);
        let mut addresses: Vec<_> = pairs(self.addresses, "addresses", problems)
            .into_iter()
            .map(|(Network(network), wish)| (network, wish))
            .collect();
        addresses.sort_by_key(|(network, _)| (std::cmp::Reverse(network.prefix_len()), *network));
        PlatformConfig {
            default: default.map_or_else(|| DEFAULT.parse().expect("a platform"), |value| value.0),
            hosts: hosts.into_iter().collect(),
            addresses,
        }
    }
}

/// Takes a table of platforms; a key that stands there twice in two spellings is a problem.
fn pairs<K: Meaning + PartialEq>(
    entries: Entries<K, Field<PlatformRequestValue>>,
    name: &str,
    problems: &mut Problems,
) -> Vec<(K, PlatformRequest)> {
    let mut pairs: Vec<(K, PlatformRequest)> = Vec::new();
    for (key, wish) in entries.0 {
        let span = key.span.clone();
        let wish = wish.take("platform", problems);
        let Some(key) = key.take(name, problems) else {
            continue;
        };
        if pairs.iter().any(|(earlier, _)| *earlier == key) {
            let problem = Problem::new(span, format!("`{name}` has the same key twice"));
            problems.add(
                problem
                    .label("the same as one above")
                    .help("leave one of them out"),
            );
        }
        pairs.extend(wish.map(|PlatformRequestValue(wish)| (key, wish)));
    }
    pairs
}

impl Meaning for PlatformValue {
    const WHAT: &'static str = "a platform";
    const EXAMPLE: &'static str = "\"linux/arm64\", \"linux/arm/v7\" or \"host\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text == THIS_MACHINE {
            return Ok(PlatformValue(Platform::host()));
        }
        if text == ALL {
            return Err(Wrong::new("`all` is no default")
                .help("name one platform: a default is for clients that cannot read an index"));
        }
        text.parse()
            .map(PlatformValue)
            .map_err(|error: manifest_model::ParseError| Wrong::new(error.problem()))
    }
}

impl Meaning for PlatformRequestValue {
    const WHAT: &'static str = "a platform";
    const EXAMPLE: &'static str = "\"linux/arm64\", \"linux/arm/v7\", \"host\" or \"all\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text == ALL {
            return Ok(PlatformRequestValue(PlatformRequest::All));
        }
        PlatformValue::read(text).map(|PlatformValue(platform)| {
            PlatformRequestValue(PlatformRequest::Platform(platform))
        })
    }
}

impl Meaning for Network {
    const WHAT: &'static str = "a network";
    const EXAMPLE: &'static str = "\"10.1.0.0/16\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Network(IpNet::from(address.to_canonical())));
        }
        let network: IpNet = text
            .parse()
            .map_err(|_| Wrong::new("not an address with a prefix length"))?;
        if network.trunc() != network {
            let help = format!("the network is \"{}\"", network.trunc());
            return Err(Wrong::new("there are bits set behind the prefix").help(help));
        }
        Ok(Network(canonical(network)))
    }
}

/// A network of IPv4 addresses in IPv6's spelling as what it is: clients' addresses are compared in IPv4's.
fn canonical(network: IpNet) -> IpNet {
    let mapped = |network: Ipv6Net| {
        let length = network.prefix_len().checked_sub(MAPPED_PREFIX)?;
        Ipv4Net::new(network.addr().to_ipv4_mapped()?, length).ok()
    };
    match network {
        IpNet::V6(v6) => mapped(v6).map_or(network, IpNet::V4),
        IpNet::V4(_) => network,
    }
}
