//! `[replicas]`: several Archways that share their downloads.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use serde::Serialize;
use toml::Spanned;

use crate::{
    key_pair::KeyPairFiles,
    meaning::{Meaning, Wrong},
    named_files,
    problem::Problem,
    show,
    table::Table,
};

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 5002);

const TLS_EXAMPLE: &str = "a table such as { ca = \"...\", cert = \"...\", key = \"...\" }";

/// Several Archways that share their downloads: where the others are, and what proves them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplicasConfig {
    /// How they are found.
    #[serde(serialize_with = "show::text")]
    pub discover: Discover,
    /// Where they are, this one too, if the configuration itself says so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberAddress>,
    /// Where this one listens for the others.
    pub listen: SocketAddr,
    /// The zone it is in, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The file of the secret that they share; each has it, or each has a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// The certificate that proves this one, and the authority that proves the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<PeerTls>,
}

/// How replicas are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discover {
    /// `members` lists them.
    Static,
    /// They are the addresses of a name.
    Dns {
        /// The name.
        name: String,
        /// Their port; `None` is that of `listen`.
        port: Option<u16>,
    },
}

/// An address of a replica: a host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberAddress(String);

/// What proves a replica to the others with TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeerTls {
    /// The authority of all replicas, which vouches for nobody else.
    pub ca: PathBuf,
    /// This one's certificate and key.
    #[serde(flatten)]
    pub pair: KeyPairFiles,
}

impl MemberAddress {
    /// As the file spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Discover {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static => formatter.write_str("static"),
            Self::Dns { name, port: None } => write!(formatter, "dns:{name}"),
            Self::Dns {
                name,
                port: Some(port),
            } => write!(formatter, "dns:{name}:{port}"),
        }
    }
}

impl ReplicasConfig {
    /// The section, if the file has it: without it, this Archway is alone.
    pub(crate) fn read(root: &mut Table<'_>) -> Option<Self> {
        let section = root.value("replicas")?;
        section.table("a table such as [replicas]", Self::read_table)?
    }

    fn read_table(table: &mut Table<'_>) -> Option<Self> {
        let discover = table.required::<Discover>("discover");
        let members = table.spanned_list::<MemberAddress>("members");
        let listen = table.or("listen", DEFAULT_LISTEN);
        let zone = table.take("zone").map(|Zone(zone)| zone);
        let secret = table.spanned::<PathBuf>("secret_file");
        let tls = table.value("tls").and_then(|tls| {
            let span = tls.span.clone();
            let read = tls.table(TLS_EXAMPLE, read_tls).flatten();
            read.map(|tls| Spanned::new(span, tls))
        });
        let discover = discover?;
        refuse_mismatch(table, &discover, &members);
        let proof = match (&secret, &tls) {
            (None, None) => Some((discover.span(), "nothing proves a replica to the others")),
            (Some(secret), Some(_)) => Some((secret.span(), "two things prove a replica")),
            _ => None,
        };
        if let Some((span, title)) = proof {
            let problem = Problem::new(span, title)
                .label("a tag's answer cannot be checked by a digest, so its giver must be known")
                .help("set either secret_file = \"FILE\" or tls = { ca = \"FILE\", cert = \"FILE\", key = \"FILE\" }");
            table.problems.add(problem);
        }
        Some(Self {
            discover: discover.into_inner(),
            members: members.into_iter().map(Spanned::into_inner).collect(),
            listen,
            zone,
            secret_file: secret.map(|secret| checked_secret(secret, table)),
            tls: tls.map(Spanned::into_inner),
        })
    }
}

/// A list without `static`, or the other way round.
fn refuse_mismatch(
    table: &Table<'_>,
    discover: &Spanned<Discover>,
    members: &[Spanned<MemberAddress>],
) {
    let is_static = *discover.get_ref() == Discover::Static;
    if is_static && members.is_empty() {
        let problem = Problem::new(discover.span(), "`discover` needs `members`")
            .label("no replica is named")
            .help(
                "name all of them, this one too: members = [\"10.0.0.1:5002\", \"10.0.0.2:5002\"]",
            );
        table.problems.add(problem);
    }
    if let Some(first) = members.first().filter(|_| !is_static) {
        let problem = Problem::new(first.span(), "`members` is of no use here")
            .label("`discover` finds the replicas")
            .help("remove the list, or set discover = \"static\"");
        table.problems.add(problem);
    }
}

/// Looks at start whether there is a secret in the file.
fn checked_secret(file: Spanned<PathBuf>, table: &Table<'_>) -> PathBuf {
    let (span, path) = (file.span(), file.into_inner());
    let checked = path.clone();
    table.problems.check_later(move || {
        let label = match std::fs::read_to_string(&checked) {
            Err(error) => error.to_string(),
            Ok(text) if text.trim().is_empty() => "it is empty".to_owned(),
            Ok(_) => return None,
        };
        let problem = Problem::new(span, "`secret_file` holds no secret").label(label);
        Some(problem.help("make one: openssl rand -hex 32 > FILE; every replica has the same"))
    });
    path
}

fn read_tls(table: &mut Table<'_>) -> Option<PeerTls> {
    let ca = table.required::<PathBuf>("ca");
    let cert = table.required::<PathBuf>("cert");
    let key = table.required::<PathBuf>("key");
    let (ca, files) = (ca?, [cert?, key?]);
    let purpose = "to prove this replica with";
    Some(PeerTls {
        ca: ca.into_inner(),
        pair: named_files::key_pair(["cert", "key"], files, purpose, table.problems),
    })
}

impl Meaning for Discover {
    const WHAT: &'static str = "\"static\" or \"dns:\" and a name";
    const EXAMPLE: &'static str = "\"dns:archway-replicas.archway.svc.cluster.local\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text == "static" {
            return Ok(Self::Static);
        }
        if text == "kubernetes" {
            return Err(Wrong::new("the API of Kubernetes is not asked for this").help(
                "name a headless Service, whose addresses are those of the ready pods: \"dns:SERVICE.NAMESPACE.svc.cluster.local\"",
            ));
        }
        if text == "bucket" {
            return Err(Wrong::new("replicas are not listed in a bucket")
                .help("list them with \"static\", or find them with \"dns:NAME\""));
        }
        let name = text.strip_prefix("dns:");
        let name = name.ok_or_else(|| Wrong::new("this is no way to find replicas"))?;
        let (name, port) = match name.rsplit_once(':') {
            Some((name, port)) => {
                let port = port.parse().map_err(|_| Wrong::new("this is no port"))?;
                (name, Some(port))
            }
            None => (name, None),
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err(Wrong::new("this is no name of DNS"));
        }
        Ok(Self::Dns {
            name: name.to_owned(),
            port,
        })
    }
}

impl Meaning for MemberAddress {
    const WHAT: &'static str = "a host with a port";
    const EXAMPLE: &'static str = "\"10.0.0.1:5002\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        let wrong = || Wrong::new("this is not a host with a port");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let is_bracketed = host.starts_with('[') && host.ends_with(']');
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let is_valid = is_bracketed || (!host.is_empty() && host.bytes().all(is_host));
        port.parse::<u16>().map_err(|_| wrong())?;
        if !is_valid {
            return Err(wrong());
        }
        Ok(Self(text.to_owned()))
    }
}

/// The name of a zone.
struct Zone(String);

impl Meaning for Zone {
    const WHAT: &'static str = "the name of a zone";
    const EXAMPLE: &'static str = "\"eu-west-1a\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            return Err(Wrong::new("this is no name").help("remove the key if there are no zones"));
        }
        Ok(Self(text.to_owned()))
    }
}
