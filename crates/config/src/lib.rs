//! The configuration: one TOML file becomes values that are valid by construction, or a report of
//! every mistake with its line and the fix.
//!
//! Owns the keys, their defaults and their checks, and whether the files they name can be used at
//! start. Refuses the rest: parsing opens no file ([`Config::load`] does), nothing is read again
//! later, and nothing here is async. Users of a password or a certificate read its current version
//! themselves. The environment is asked only for the default directory of the cache, and by
//! [`Config::load`] for passwords.
//!
//! Each section has a file of its own: a struct with its keys, and a function that reads them from
//! a table. Everything has a default, so an empty file is a whole configuration.
//! [`Config::to_toml`] is the way back.
//!
//! # How to add a key
//!
//! Two edits:
//!
//! 1. In the file of its section, such as `upstreams/settings.rs`: a documented field of the
//!    struct, and the line in `read` below it that names the key, its default and its bounds. The
//!    compiler demands that line. Unknown keys, suggestions and printing follow by themselves.
//! 2. Where it is used.
//!
//! A test then asks for the key in `config/archway.example.toml`, which is its manual.

mod cache;
mod error;
mod key_pair;
mod listeners;
mod log;
mod meaning;
mod named_files;
mod platform;
mod prefetch;
mod problem;
mod secret;
mod server;
mod show;
mod suggest;
mod table;
mod tag_pattern;
mod units;
mod upstreams;

use std::{fs, net::SocketAddr, path::Path};

pub use cache::CacheConfig;
pub use error::{ConfigError, Report};
pub use key_pair::{Flaw, KeyPairError, KeyPairFiles, PairFile};
use listeners::Admin;
pub use listeners::Listener;
pub use log::{Log, LogFormat};
pub use platform::PlatformConfig;
pub use prefetch::{Prefetch, PrefetchConfig};
use problem::Problems;
use protocol::host::Host;
pub use secret::{SecretError, SecretSource};
use serde::Serialize;
pub use server::Server;
use table::Table;
pub use tag_pattern::TagPattern;
use toml::de::DeTable;
pub use upstreams::{
    Auth, ClientCertificate, EcrAuth, EcrPublicAuth, EndpointConfig, Limits, NamePattern, Prefer,
    Rate, Repositories, RepositoryRule, Resolve, Role, Rule, RuleAnswer, Rules, UpstreamConfig,
    UpstreamSettings, Upstreams,
};

/// The upstream of a name without a registry, unless the file names another.
const DEFAULT_UPSTREAM: &str = "docker.io";

/// Everything that can be set, checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// The upstream of a request that names none, on a listener that names none. If the file names
    /// it, it is a configured one; the built-in `docker.io` may be missing from the file's
    /// upstreams and then reaches nothing.
    #[serde(skip)]
    pub default_upstream: Host,
    /// The addresses on which clients pull; never empty.
    #[serde(rename = "listener")]
    pub listeners: Vec<Listener>,
    /// Where `/livez`, `/readyz` and `/metrics` are; `None` when the file turns them `"off"`.
    #[serde(serialize_with = "listeners::show_admin")]
    pub admin: Option<SocketAddr>,
    /// Where stored content lies, and how much of it there may be.
    pub cache: CacheConfig,
    /// The platform of a client that names none.
    pub platform: PlatformConfig,
    /// Downloads before a client asks.
    pub prefetch: PrefetchConfig,
    /// The levels and the form of the log.
    pub log: Log,
    /// Limits of the listeners.
    pub server: Server,
    /// The registries that can be reached.
    #[serde(rename = "upstream", skip_serializing_if = "Upstreams::are_built_in")]
    pub upstreams: Upstreams,
}

/// What to do with the files a configuration names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NamedFiles {
    Check,
    Ignore,
}

/// A configuration as a file.
#[derive(Serialize)]
struct Printed<'a> {
    default_upstream: Option<&'a str>,
    #[serde(flatten)]
    config: &'a Config,
}

impl Config {
    /// The configuration without a file.
    pub fn embedded() -> Result<Self, ConfigError> {
        Self::parse("built-in defaults", "")
    }

    /// Reads a file, and checks it and the files it names.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let bytes = fs::read(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let name = path.to_string_lossy();
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes());
            Report::unparsed(&name, &text, at, "the file is not UTF-8".to_owned())
        })?;
        Self::read(&name, &text, NamedFiles::Check)
    }

    /// Checks a text; `source_name` names the file in errors. Opens no file: whether those it names
    /// can be used remains open.
    pub fn parse(source_name: &str, text: &str) -> Result<Self, ConfigError> {
        Self::read(source_name, text, NamedFiles::Ignore)
    }

    fn read(source_name: &str, text: &str, files: NamedFiles) -> Result<Self, ConfigError> {
        let document = DeTable::parse(text).map_err(|error| {
            let at = error.span().unwrap_or_default().start;
            let title = match error.message().trim() {
                "duplicate key" => "a key is set twice".to_owned(),
                message => message.replace('\n', "; "),
            };
            Report::unparsed(source_name, text, at, title)
        })?;
        let problems = Problems::default();
        let mut root = Table::document(document, &problems);
        let config = Self::read_sections(&mut root);
        root.refuse_unknown();
        if files == NamedFiles::Check {
            problems.check_files();
        }
        match Report::of(source_name, text, problems.into_findings()) {
            Some(report) => Err(report.into()),
            None => Ok(config),
        }
    }

    fn read_sections(root: &mut Table<'_>) -> Self {
        let upstreams = Upstreams::read(root);
        let default_upstream = root.spanned("default_upstream");
        let default_upstream = default_upstream
            .and_then(|host| upstreams.known(host, "default_upstream", root.problems));
        let admin = root.section("admin", "a table such as [admin]", Admin::read);
        let server = root.section("server", "a table such as [server]", Server::read);
        Self {
            default_upstream: default_upstream
                .unwrap_or_else(|| DEFAULT_UPSTREAM.parse().expect("a host")),
            listeners: listeners::read(root, &admin, &upstreams, &server),
            admin: admin.address(),
            cache: root.section("cache", "a table such as [cache]", CacheConfig::read),
            platform: root.section(
                "platform",
                "a table such as [platform]",
                PlatformConfig::read,
            ),
            prefetch: root.section(
                "prefetch",
                "a table such as [prefetch]",
                PrefetchConfig::read,
            ),
            log: root.section("log", "a table such as [log]", Log::read),
            server,
            upstreams,
        }
    }

    /// The effective values as a file that reads back to an equal configuration. Of a secret it
    /// names the place only.
    pub fn to_toml(&self) -> String {
        let default_upstream = &self.default_upstream;
        let is_configured = self.upstreams.find(default_upstream).is_some();
        let printed = Printed {
            default_upstream: is_configured.then(|| default_upstream.as_str()),
            config: self,
        };
        let values = toml::to_string(&printed).expect("every value is one of TOML");
        let about_upstreams = self.upstreams.comment();
        if is_configured {
            return values + &about_upstreams;
        }
        format!(
            "# default_upstream is {default_upstream}, which is not configured: a name must include \
             its registry\n{values}{about_upstreams}"
        )
    }
}

#[cfg(test)]
mod tests;
