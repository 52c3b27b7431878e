//! The ways in which containerd goes past Archway and says nothing: what is wrong, and how to mend
//! it, in one line each.

use protocol::host::Host;

use crate::containerd::{ConfigOwner, HostsFault, Version};

/// What mends most of them.
const APPLY: &str = "run `archway client-config apply containerd`";
/// How each command begins that writes the files.
const WRITES: &str = "run `archway client-config apply containerd";
/// What it leaves alone.
const BY_HAND: &str = "a table for Archway that was written by hand has to be taken out first";

/// A reason why pulls do not come to Archway, or not all of them, or not for long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bypass {
    /// No `hosts.toml` is read at all.
    #[error(
        "containerd{} reads no hosts.toml, because {}: add the lines `{}` to \
         config.toml, and restart containerd",
        named(*version),
        unset(*has_inline_mirrors),
        listed(lines)
    )]
    NoConfigPath {
        /// Mirrors are configured in `config.toml` itself.
        has_inline_mirrors: bool,
        /// The containerd that does so.
        version: Option<Version>,
        /// What to add to `config.toml`.
        lines: String,
    },
    /// Several folders are meant, and their list is read as one path, where nothing is.
    #[error(
        "containerd takes `{path}` for one path, which is not there, and so reads no \
         hosts.toml: {}, or set `config_path` to {first}",
        APPLY
    )]
    ColonList {
        /// The list.
        path: String,
        /// Its first folder.
        first: String,
    },
    /// A directory without a `hosts.toml` hides the one for all registries.
    #[error(
        "{path} has {}, and hides the directories that would be taken without it: {}",
        content(*has_certificates),
        APPLY
    )]
    EmptyDirectory {
        /// The directory.
        path: String,
        /// Whether it has certificates.
        has_certificates: bool,
    },
    /// A file that containerd cannot read, and so puts aside.
    #[error(
        "containerd puts {path} aside, because {fault}: mend it, then {}",
        APPLY
    )]
    BrokenFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        fault: HostsFault,
    },
    /// A file that is put aside for a capability.
    #[error(
        "containerd puts {path} aside, because it does not know the capability \
         `{word}`: take that out"
    )]
    Capability {
        /// The file.
        path: String,
        /// The capability.
        word: String,
    },
    /// A file in an earlier folder, or of an own directory, hides one that leads to Archway.
    #[error("{by} is taken before {hidden}, which leads to Archway: {}", APPLY)]
    Shadowed {
        /// The file that is taken.
        by: String,
        /// The one that leads to Archway.
        hidden: String,
    },
    /// A file without a `[host]` table, which containerd 1.6 puts aside.
    #[error(
        "containerd 1.6 puts {path} aside, because it has no [host] table: {}",
        APPLY
    )]
    NoHostTable {
        /// The file.
        path: String,
    },
    /// A listener that does not answer costs 30 s for each object.
    #[error(
        "while nobody answers there, each object costs 30 s, because {}", bound(path, *too_old)
    )]
    LongWait {
        /// The file.
        path: String,
        /// The version, if it is too old for `dial_timeout`; else the file has none.
        too_old: Option<Version>,
    },
    /// Requests for Archway go to an outgoing proxy.
    #[error(
        "{path} sends containerd's requests for {host} to the proxy {proxy}: add \
         {host} to NO_PROXY there, and restart containerd"
    )]
    Proxy {
        /// The file that says so.
        path: String,
        /// The proxy.
        proxy: String,
        /// Archway's host.
        host: String,
    },
    /// A directory for Docker Hub under a name that is never looked for.
    #[error(
        "{path} is never looked for, since images of Docker Hub are of docker.io: \
         rename it to docker.io"
    )]
    HubAlias {
        /// The directory.
        path: String,
    },
    /// Another system writes the files, and not from settings that lead to Archway.
    #[error("{0}")]
    Regenerated(ConfigOwner),
    /// Nothing leads a registry to Archway.
    #[error(
        "{}: {}", not_led(registry, by.as_deref()), APPLY
    )]
    NotLed {
        /// The registry.
        registry: Host,
        /// The file that is taken for it, if there is one.
        by: Option<String>,
    },
    /// Another place is asked before Archway.
    #[error("{path} has {first} asked before Archway: put Archway's table first")]
    NotFirst {
        /// The file.
        path: String,
        /// The place.
        first: String,
    },
    /// Archway is not asked for everything.
    #[error(
        "{path} has Archway asked {scope}: set its `capabilities` to [\"pull\", \
         \"resolve\"]"
    )]
    NotForAll {
        /// The file.
        path: String,
        /// What it is asked for.
        scope: &'static str,
    },
    /// Archway is asked for another platform than was named.
    #[error(
        "{path} names {}, not {wanted}: run `archway client-config apply containerd --platform \
         {wanted}`; {}",
        named.as_deref().unwrap_or("no platform"),
        BY_HAND
    )]
    OtherPlatform {
        /// The file.
        path: String,
        /// The platform there.
        named: Option<String>,
        /// The one that should be.
        wanted: String,
    },
}

impl Bypass {
    /// The line about it, with what mends it on a node whose files are `owner`'s: `apply` refuses there.
    pub fn told(&self, owner: Option<&ConfigOwner>) -> String {
        let text = self.to_string();
        match owner {
            Some(owner) => text.replace(WRITES, &owner.command()),
            None => text,
        }
    }
}

fn named(version: Option<Version>) -> String {
    version.map_or_else(String::new, |version| format!(" {version}"))
}

fn unset(has_inline_mirrors: bool) -> &'static str {
    if has_inline_mirrors {
        "mirrors are configured in config.toml itself: take them out"
    } else {
        "`config_path` is not set"
    }
}

fn content(has_certificates: bool) -> &'static str {
    if has_certificates {
        "certificates and no hosts.toml"
    } else {
        "no hosts.toml"
    }
}

/// Apart from each other: joined, they would be no TOML.
fn listed(lines: &str) -> String {
    let lines: Vec<&str> = lines.lines().map(str::trim).collect();
    lines.join("`, `")
}

fn bound(path: &str, too_old: Option<Version>) -> String {
    match too_old {
        Some(version) => format!(
            "containerd {version} does not know the `dial_timeout` of {path}: update it to 2.1, or \
             have Archway on 127.0.0.1"
        ),
        None => format!("{path} has no `dial_timeout`: {APPLY}; {BY_HAND}"),
    }
}

fn not_led(registry: &Host, by: Option<&str>) -> String {
    match by {
        Some(path) => format!("{path}, which is taken for {registry}, does not lead to Archway"),
        None => format!("nothing leads {registry} to Archway"),
    }
}
