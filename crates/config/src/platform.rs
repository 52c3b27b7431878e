//! `[platform]`: the platform of a client whose request names none.

mod kubernetes;

use std::{cmp::Reverse, collections::BTreeMap, net::IpAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use manifest_model::Platform;
use protocol::{
    host::Host,
    platform_request::{ALL, PlatformRequest},
};
use serde::{Serialize, Serializer};

pub use self::kubernetes::KubernetesConfig;
use crate::{
    meaning::{Meaning, Wrong},
    problem::Problem,
    show,
    table::Table,
};

const DEFAULT: &str = "linux/amd64";
/// Bits before the IPv4 address in one of IPv6's (`::ffff:0:0/96`).
const MAPPED_PREFIX: u8 = 96;
/// The platform of the machine Archway runs on.
const THIS_MACHINE: &str = "host";

/// Which platform a client is served when nothing in its request names one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlatformConfig {
    /// When there is no other hint.
    #[serde(serialize_with = "show::text")]
    pub default: Platform,
    /// By the host name the client asked for; look up with `of_host`.
    #[serde(serialize_with = "hosts")]
    pub hosts: BTreeMap<Host, PlatformRequest>,
    /// By the client's address, the longest prefix first; look up with `of_address`.
    #[serde(serialize_with = "addresses")]
    pub addresses: Vec<(IpNet, PlatformRequest)>,
    /// By the node of the cluster that has the client's address.
    pub kubernetes: KubernetesConfig,
}

/// A platform of the file; `"host"` has become this machine's.
#[derive(Clone, Debug)]
pub(crate) struct PlatformValue(pub(crate) Platform);

/// A platform of the file, or `"all"`, where a hint can be given.
#[derive(Clone, Debug)]
pub(crate) struct PlatformRequestValue(pub(crate) PlatformRequest);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network(pub(crate) IpNet);

impl PlatformConfig {
    /// The hint for a `Host` header, with or without its port.
    pub fn of_host(&self, host: &Host) -> Option<&PlatformRequest> {
        self.hosts
            .get(host)
            .or_else(|| self.hosts.get(&host.without_port()))
    }

    /// The hint for the narrowest network that contains the address.
    pub fn of_address(&self, address: IpAddr) -> Option<&PlatformRequest> {
        let address = address.to_canonical();
        self.addresses
            .iter()
            .find(|(network, _)| network.contains(&address))
            .map(|(_, wish)| wish)
    }

    pub(crate) fn read(table: &mut Table<'_>) -> Self {
        let default = table.take("default");
        let hosts = pairs(table, "hosts");
        let addresses = pairs(table, "addresses").into_iter();
        let mut addresses: Vec<_> = addresses
            .map(|(Network(network), wish)| (network, wish))
            .collect();
        addresses.sort_by_key(|(network, _)| (Reverse(network.prefix_len()), *network));
        Self {
            default: default.map_or_else(
                || DEFAULT.parse().expect("a platform"),
                |value| {
                    let PlatformValue(platform) = value;
                    platform
                },
            ),
            hosts: hosts.into_iter().collect(),
            addresses,
            kubernetes: table.section(
                "kubernetes",
                "a table such as [platform.kubernetes]",
                KubernetesConfig::read,
            ),
        }
    }
}

/// Reads a table of platforms; two spellings of the same key are a mistake.
fn pairs<K: Meaning + PartialEq>(
    table: &mut Table<'_>,
    name: &'static str,
) -> Vec<(K, PlatformRequest)> {
    let mut pairs: Vec<(K, PlatformRequest)> = Vec::new();
    for (key, wish) in table.entries::<K>(name) {
        let wish = wish.read("platform");
        let Some(key) = key else { continue };
        let (span, key) = (key.span(), key.into_inner());
        if pairs.iter().any(|(earlier, _)| *earlier == key) {
            let problem = Problem::new(span, format!("`{name}` has the same key twice"))
                .label("the same as one above")
                .help("remove one of them");
            table.problems.add(problem);
        }
        pairs.extend(wish.map(|wish| {
            let PlatformRequestValue(wish) = wish.into_inner();
            (key, wish)
        }));
    }
    pairs
}

fn hosts<S: Serializer>(
    hosts: &BTreeMap<Host, PlatformRequest>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let entries = hosts.iter();
    serializer.collect_map(entries.map(|(host, wish)| (host.as_str(), wish.to_string())))
}

fn addresses<S: Serializer>(
    addresses: &[(IpNet, PlatformRequest)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let entries = addresses.iter();
    serializer.collect_map(entries.map(|(network, wish)| (network.to_string(), wish.to_string())))
}

impl Meaning for PlatformValue {
    const WHAT: &'static str = "a platform";
    const EXAMPLE: &'static str = "\"linux/arm64\", \"linux/arm/v7\" or \"host\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text == THIS_MACHINE {
            return Ok(Self(Platform::host()));
        }
        if text == ALL {
            return Err(Wrong::new("`all` cannot be a default")
                .help("name one platform: a default is for clients that cannot read an index"));
        }
        let platform: Platform = text
            .parse()
            .map_err(|error: manifest_model::ParseError| Wrong::new(error.problem()))?;
        match slip(&platform.architecture) {
            None => Ok(Self(platform)),
            Some(meant) => Err(Wrong::new("no processor is called so")
                .help(format!("did you mean {}/{meant}?", platform.os))),
        }
    }
}

/// The processors that Go, and so images, have names for.
const PROCESSORS: [&str; 26] = [
    "386", "aarch64", "amd64", "arm", "arm64", "arm64be", "armbe", "armel", "armhf", "i386",
    "i686", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv",
    "riscv64", "s390", "s390x", "sparc64", "wasm", "x86-64", "x86_64",
];

/// The processor that a name is one slip away from. Others may be new ones.
fn slip(name: &str) -> Option<&'static str> {
    if PROCESSORS.contains(&name) {
        return None;
    }
    let mut processors = PROCESSORS.into_iter();
    processors.find(|known| strsim::osa_distance(name, known) == 1)
}

impl Meaning for PlatformRequestValue {
    const WHAT: &'static str = "a platform";
    const EXAMPLE: &'static str = "\"linux/arm64\", \"linux/arm/v7\", \"host\" or \"all\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text == ALL {
            return Ok(Self(PlatformRequest::All));
        }
        PlatformValue::read(text)
            .map(|PlatformValue(platform)| Self(PlatformRequest::Platform(platform)))
    }
}

impl Meaning for Network {
    const WHAT: &'static str = "a network";
    const EXAMPLE: &'static str = "\"10.1.0.0/16\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(IpNet::from(address.to_canonical())));
        }
        let network: IpNet = text
            .parse()
            .map_err(|_| Wrong::new("this is not an address with a prefix length"))?;
        if network.trunc() != network {
            let help = format!("the network is \"{}\"", network.trunc());
            return Err(Wrong::new("there are bits set behind the prefix").help(help));
        }
        Ok(Self(canonical(network)))
    }
}

/// A network of IPv4 addresses in IPv6's spelling becomes one of IPv4: clients' addresses are
/// compared as such.
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
