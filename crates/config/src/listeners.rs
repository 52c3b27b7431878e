//! `[[listener]]`: the addresses on which clients pull.

mod access;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
    path::PathBuf,
};

use protocol::{host::Host, platform_request::PlatformRequest};
use serde::Serialize;
use toml::Spanned;

pub use self::access::Access;
use crate::{
    admin::{Admin, DEFAULT_ADMIN},
    key_pair::KeyPairFiles,
    meaning::{Meaning, Wrong},
    named_files,
    platform::PlatformRequestValue,
    problem::{Problem, Problems},
    server::Server,
    show,
    table::Table,
    upstreams::Upstreams,
};

const DEFAULT_LISTENER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);

/// An address on which clients pull.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listener {
    /// Where to listen; port 0 is any free port.
    pub address: SocketAddr,
    /// An explicit hint for everything that comes in here; `"host"` has become this machine's
    /// platform.
    #[serde(serialize_with = "show::optional_text")]
    pub platform: Option<PlatformRequest>,
    /// The upstream of a name without a registry; always a configured one.
    #[serde(serialize_with = "show::optional_text")]
    pub upstream: Option<Host>,
    /// The certificate for clients, which then have to use TLS; `None` is plain HTTP.
    pub tls: Option<KeyPairFiles>,
    /// Who may ask here, and for what.
    #[serde(flatten)]
    pub access: Access,
    /// Whether a trusted peer begins each connection with the PROXY protocol's header.
    pub proxy_protocol: bool,
    /// Whether a path may name a platform; otherwise `platform/...` is a repository.
    pub platform_paths: bool,
}

/// The listeners of the file, or the one that is there by default.
pub(crate) fn read(
    root: &mut Table<'_>,
    admin: &Admin,
    upstreams: &Upstreams,
    server: &Server,
) -> Vec<Listener> {
    let problems = root.problems;
    let listeners = root.sections("listener", "a table such as [[listener]]", |table| {
        let address = table.required("address");
        let platform = table
            .take("platform")
            .map(|PlatformRequestValue(wish)| wish);
        let upstream = table.spanned("upstream");
        let access = Access::read(table, upstream.as_ref(), upstreams);
        let upstream = upstream.and_then(|host| upstreams.known(host, "upstream", problems));
        let tls = table.value("tls");
        let tls = tls
            .and_then(|tls| tls.table(TLS_EXAMPLE, read_tls))
            .flatten();
        let proxy_protocol = table.spanned_flag("proxy_protocol");
        let proxy_protocol = proxy_protocol.is_some_and(|flag| trusted(&flag, server, problems));
        let platform_paths = table.flag("platform_paths", true);
        let address: Spanned<SocketAddr> = address?;
        let span = address.span();
        let listener = Listener {
            address: address.into_inner(),
            platform,
            upstream,
            tls,
            access,
            proxy_protocol,
            platform_paths,
        };
        Some((span, listener))
    });
    let mut taken = taken_by_admin(admin);
    if listeners.is_empty() {
        check_default(&taken, problems);
    }
    let mut found = Vec::new();
    for (span, listener) in listeners.into_iter().flatten() {
        claim(listener.address, span, &mut taken, problems);
        found.push(listener);
    }
    if found.is_empty() {
        found.push(Listener {
            address: DEFAULT_LISTENER,
            platform: None,
            upstream: None,
            tls: None,
            access: Access::default(),
            proxy_protocol: false,
            platform_paths: true,
        });
    }
    found
}

const TLS_EXAMPLE: &str = "a table such as { cert = \"...\", key = \"...\" }";

fn read_tls(table: &mut Table<'_>) -> Option<KeyPairFiles> {
    let cert = table.required::<PathBuf>("cert");
    let key = table.required::<PathBuf>("key");
    let files = [cert?, key?];
    let names = ["cert", "key"];
    Some(named_files::key_pair(
        names,
        files,
        "to serve with",
        table.problems,
    ))
}

/// Addresses in use, and the place of each that the file names.
type Taken = Vec<(SocketAddr, Option<Range<usize>>)>;

fn taken_by_admin(admin: &Admin) -> Taken {
    let Some((named, span)) = admin.named() else {
        return vec![(DEFAULT_ADMIN, None)];
    };
    let named = named.map(|named| (named, Some(span)));
    named.into_iter().collect()
}

fn claim(address: SocketAddr, span: Range<usize>, taken: &mut Taken, problems: &Problems) {
    if let Some((first, place)) = taken.iter().find(|(first, _)| clash(*first, address)) {
        let problem = Problem::new(span.clone(), format!("two listeners on {address}"));
        problems.add(match place {
            Some(place) => problem
                .label("already taken")
                .other(place.clone(), "first used here")
                .help("give one of them another port"),
            None => problem
                .label(format!(
                    "the admin routes are at {first} unless [admin] moves them"
                ))
                .help("give it another port, or set `address` in [admin]"),
        });
    }
    taken.push((address, Some(span)));
}

/// The default listener has a port too.
fn check_default(taken: &Taken, problems: &Problems) {
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

/// Whether the system would refuse the second of the two. An unspecified address takes the port of
/// every address, that of IPv6 those of IPv4 too. Port 0 is a different port each time.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let is_any_for = |all: SocketAddr, one: SocketAddr| {
        all.ip().is_unspecified() && (all.is_ipv6() || one.is_ipv4())
    };
    a.port() == b.port()
        && a.port() != 0
        && (a.ip() == b.ip() || is_any_for(a, b) || is_any_for(b, a))
}

/// The flag's value; without a trusted peer it would do nothing.
fn trusted(flag: &Spanned<bool>, server: &Server, problems: &Problems) -> bool {
    if *flag.get_ref() && server.trusted_proxies.is_empty() {
        let problem = Problem::new(flag.span(), "`proxy_protocol` needs `trusted_proxies`")
            .label("no peer is trusted to name the client")
            .help("name the load balancers: trusted_proxies = [\"10.0.0.0/8\"] in [server]");
        problems.add(problem);
    }
    *flag.get_ref()
}

impl Meaning for SocketAddr {
    const WHAT: &'static str = "an IP address with a port";
    const EXAMPLE: &'static str = "\"127.0.0.1:5000\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        let wrong = Wrong::new("this is not an address with a port");
        match text.parse() {
            Ok(IpAddr::V4(ip)) => return Err(wrong.help(format!("add the port: \"{ip}:PORT\""))),
            Ok(IpAddr::V6(ip)) => return Err(wrong.help(format!("add the port: \"[{ip}]:PORT\""))),
            Err(_) => {}
        }
        if let Some(port) = text.strip_prefix(':') {
            let help = format!("write \"0.0.0.0:{port}\" for every address");
            return Err(wrong.help(help));
        }
        text.parse().map_err(|_| wrong)
    }
}
