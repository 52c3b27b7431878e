//! `[[listener]]` and `[admin]`: the addresses Archway answers on.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
};

use protocol::{host::Host, platform_request::PlatformRequest};
use serde::Deserialize;
use serde_spanned::Spanned;

use super::{
    error::{Problem, Problems},
    field::{Field, Meaning, Wrong},
    key_pair::KeyPair,
    platform::PlatformRequestValue,
    print::Page,
    server::Server,
    tls::{self, RawTls},
    upstreams::Upstreams,
};

const DEFAULT_LISTENER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);
/// Where the admin routes are when the file does not say.
pub(super) const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);
/// The admin address that means none.
const OFF: &str = "off";

/// An address on which clients pull.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Where to listen; port 0 is any free port.
    pub address: SocketAddr,
    /// An explicit hint for everything that comes in here; `"host"` has become this machine's platform.
    pub platform: Option<PlatformRequest>,
    /// The upstream of a name that carries none; always a configured one.
    pub upstream: Option<Host>,
    /// What it shows to clients, which then have to speak TLS; `None` is plain HTTP.
    pub tls: Option<KeyPair>,
    /// Whether a trusted peer begins each connection with the PROXY protocol's header.
    pub proxy_protocol: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as [[listener]]")]
pub(super) struct RawListener {
    address: Field<SocketAddr>,
    platform: Option<Field<PlatformRequestValue>>,
    upstream: Option<Field<Host>>,
    tls: Option<RawTls>,
    proxy_protocol: Option<Spanned<bool>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table such as [admin]")]
pub(super) struct RawAdmin {
    address: Option<Field<AdminAddress>>,
}

/// The admin address as the file gives it.
pub(super) struct Admin {
    pub(super) address: Option<SocketAddr>,
    span: Range<usize>,
}

#[derive(Debug, Clone, Copy)]
struct AdminAddress(Option<SocketAddr>);

impl RawAdmin {
    pub(super) fn resolve(self, problems: &mut Problems) -> Option<Admin> {
        let field = self.address?;
        let span = field.span.clone();
        let AdminAddress(address) = field.take("address", problems)?;
        Some(Admin { address, span })
    }
}

/// The listeners of the file, or the one that stands for none.
pub(super) fn resolve(
    raw: Vec<RawListener>,
    admin: Option<&Admin>,
    upstreams: &Upstreams,
    server: &Server,
    problems: &mut Problems,
) -> Vec<Listener> {
    let mut taken = taken_by_admin(admin);
    if raw.is_empty() {
        check_default(&taken, problems);
    }
    let mut listeners = Vec::new();
    for RawListener {
        address,
        platform,
        upstream,
        tls,
        proxy_protocol,
    } in raw
    {
        let span = address.span.clone();
        let address = address.take("address", problems);
        let platform = platform.and_then(|field| field.take("platform", problems));
        let upstream = upstream.and_then(|field| upstreams.known(field, "upstream", problems));
        let tls = tls.and_then(|raw| raw.resolve(problems));
        let proxy_protocol = proxy_protocol.is_some_and(|flag| trusted(&flag, server, problems));
        let Some(address) = address else { continue };
        if let Some((first, place)) = taken.iter().find(|(first, _)| clash(*first, address)) {
            let problem = Problem::new(span.clone(), format!("two listeners on {address}"));
            problems.add(match place {
                Some(place) => problem
                    .label("already taken")
                    .other(place.clone(), "first used here")
                    .help("give one of them another port"),
                None => problem
                    .label(format!(
                        "the admin routes are at {first} unless [admin] says otherwise"
                    ))
                    .help("give it another port, or set `address` in [admin]"),
            });
        }
        taken.push((address, Some(span)));
        listeners.push(Listener {
            address,
            platform: platform.map(|value| value.0),
            upstream,
            tls,
            proxy_protocol,
        });
    }
    if listeners.is_empty() {
        listeners.push(Listener {
            address: DEFAULT_LISTENER,
            platform: None,
            upstream: None,
            tls: None,
            proxy_protocol: false,
        });
    }
    listeners
}

/// Addresses in use, and where the file says so.
type Taken = Vec<(SocketAddr, Option<Range<usize>>)>;

fn taken_by_admin(admin: Option<&Admin>) -> Taken {
    let Some(Admin { address, span }) = admin else {
        return vec![(DEFAULT_ADMIN, None)];
    };
    let named = address.map(|address| (address, Some(span.clone())));
    named.into_iter().collect()
}

/// The listener that stands for none has a port too.
fn check_default(taken: &Taken, problems: &mut Problems) {
    for (address, place) in taken {
        let Some(span) = place.clone().filter(|_| clash(*address, DEFAULT_LISTENER)) else {
            continue;
        };
        let problem = Problem::new(span, format!("two listeners on {address}")).label(format!(
            "clients pull from {DEFAULT_LISTENER} where there is no [[listener]]"
        ));
        problems.add(problem.help("give the admin routes another port, or add a [[listener]]"));
    }
}

/// Whether the system would refuse the second of the two. An address that stands for all takes the port on each of them, that of
/// IPv6 on those of IPv4 too. Port 0 is a different port each time.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let is_any_for = |all: SocketAddr, one: SocketAddr| {
        all.ip().is_unspecified() && (all.is_ipv6() || one.is_ipv4())
    };
    a.port() == b.port()
        && a.port() != 0
        && (a.ip() == b.ip() || is_any_for(a, b) || is_any_for(b, a))
}

/// The flag's value; without a peer to believe it would do nothing.
fn trusted(flag: &Spanned<bool>, server: &Server, problems: &mut Problems) -> bool {
    if *flag.get_ref() && server.trusted_proxies.is_empty() {
        let problem = Problem::new(flag.span(), "`proxy_protocol` needs `trusted_proxies`")
            .label("nobody is trusted to say who the client is");
        problems.add(
            problem.help("name the load balancers: trusted_proxies = [\"10.0.0.0/8\"] in [server]"),
        );
    }
    *flag.get_ref()
}

pub(super) fn print(listeners: &[Listener], admin: Option<SocketAddr>, page: &mut Page) {
    for listener in listeners {
        page.header("[[listener]]");
        page.string("address", &listener.address.to_string());
        if let Some(platform) = &listener.platform {
            page.string("platform", &platform.to_string());
        }
        if let Some(upstream) = &listener.upstream {
            page.string("upstream", upstream.as_str());
        }
        if let Some(pair) = &listener.tls {
            tls::print(pair, page);
        }
        page.raw("proxy_protocol", listener.proxy_protocol);
    }
    page.header("[admin]");
    page.string(
        "address",
        &admin.map_or_else(|| OFF.to_owned(), |address| address.to_string()),
    );
}

impl Meaning for SocketAddr {
    const WHAT: &'static str = "an IP address with a port";
    const EXAMPLE: &'static str = "\"127.0.0.1:5000\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        let wrong = Wrong::new("not an address and a port");
        match text.parse() {
            Ok(IpAddr::V4(ip)) => return Err(wrong.help(format!("add the port: \"{ip}:PORT\""))),
            Ok(IpAddr::V6(ip)) => return Err(wrong.help(format!("add the port: \"[{ip}]:PORT\""))),
            Err(_) => {}
        }
        if let Some(port) = text.strip_prefix(':') {
            return Err(wrong.help(format!("on every address it is \"0.0.0.0:{port}\"")));
        }
        text.parse().map_err(|_| wrong)
    }
}

impl Meaning for AdminAddress {
    const WHAT: &'static str = "an IP address with a port, or \"off\"";
    const EXAMPLE: &'static str = "\"127.0.0.1:9464\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text == OFF {
            return Ok(AdminAddress(None));
        }
        SocketAddr::read(text).map(|address| AdminAddress(Some(address)))
    }
}
