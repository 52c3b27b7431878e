//! The configuration: one TOML file becomes values that are valid by construction, or a report of
//! every mistake with its line and the fix.
//!
//! Owns the keys, their defaults and their checks, whether the files they name can be used at
//! start, and what differs between two configurations. Refuses the rest: parsing opens no file
//! ([`Source::load`] does), nothing follows a file, and nothing here is async. Users of a password
//! or a certificate read its current version themselves. The environment is asked only for the
//! default directory of the cache, and by [`Config::load`] for passwords.
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

mod admin;
mod audit;
mod bundles;
mod cache;
mod changes;
mod error;
mod exposure;
mod key_pair;
mod listeners;
mod log;
mod meaning;
mod meant;
mod named_files;
mod platform;
mod prefetch;
mod problem;
mod replicas;
mod secret;
mod server;
mod show;
mod source;
mod space;
mod suggest;
mod table;
mod tag_pattern;
mod tier;
mod units;
mod upstreams;

use std::path::{Path, PathBuf};

use admin::Admin;
pub use admin::{AdminConfig, AdminSocket, MAX_SOCKET_PATH};
pub use audit::AuditConfig;
pub use bundles::{BundlesConfig, TrustedKey};
pub use cache::{CacheBounds, CacheConfig};
pub use changes::Change;
pub use error::{ConfigError, Report};
pub use exposure::Exposure;
pub use key_pair::{Flaw, KeyPairError, KeyPairFiles, PairFile};
pub use listeners::{Access, Listener};
pub use log::{Log, LogFormat};
pub use platform::{KubernetesConfig, PlatformConfig};
pub use prefetch::{Prefetch, PrefetchConfig};
use problem::Problems;
use protocol::host::Host;
pub use replicas::{Discover, MemberAddress, PeerTls, ReplicasConfig};
pub use secret::{SecretError, SecretSource};
use serde::Serialize;
pub use server::Server;
pub use source::{Loaded, Source};
pub use space::Space;
use table::Table;
pub use tag_pattern::TagPattern;
pub use tier::{BucketProvider, BucketUrl, TierConfig};
use toml::de::DeTable;
pub use upstreams::{
    Auth, ClientCertificate, EcrAuth, EcrPublicAuth, EndpointConfig, LISTS_HELD, Limits,
    NamePattern, PUBLIC_REGISTRIES, Prefer, Rate, RepoPattern, Repositories, RepositoryRule,
    Resolve, Role, Rule, RuleAnswer, Rules, UpstreamConfig, UpstreamSettings, Upstreams,
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
    /// Where `/livez`, `/readyz` and `/metrics` are, and where changes are taken.
    pub admin: AdminConfig,
    /// Where stored content lies, and how much of it there may be.
    pub cache: CacheConfig,
    /// Whose bundles are imported.
    pub bundles: BundlesConfig,
    /// The bucket that replicas share, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<TierConfig>,
    /// The platform of a client that names none.
    pub platform: PlatformConfig,
    /// Downloads before a client asks.
    pub prefetch: PrefetchConfig,
    /// The other Archways that share downloads with this one; `None` if it is alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<ReplicasConfig>,
    /// The levels and the form of the log.
    pub log: Log,
    /// Who got which manifest, in a file of its own.
    pub audit: AuditConfig,
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

/// Whether upstreams may be asked, beside what the file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// As the file says.
    #[default]
    AsConfigured,
    /// None of them, as with `offline = true` at the top of the file.
    Offline,
}

/// A configuration as a file.
#[derive(Serialize)]
struct Printed<'a> {
    default_upstream: Option<&'a str>,
    offline: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parents: Vec<String>,
    #[serde(flatten)]
    config: &'a Config,
}

impl Config {
    /// The configuration without a file.
    pub fn embedded() -> Result<Self, ConfigError> {
        Self::embedded_as(Reach::AsConfigured)
    }

    /// As [`Self::embedded`], where more may be offline than the defaults say.
    pub fn embedded_as(reach: Reach) -> Result<Self, ConfigError> {
        Self::read("built-in defaults", "", NamedFiles::Ignore, reach, None)
    }

    /// Reads a file, and checks it and the files it names, but for those of upstreams that are
    /// never asked.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let source = Source::new(Some(path.to_owned()), Reach::AsConfigured);
        Ok(source.load()?.config)
    }

    /// Checks a text; `source_name` names the file in errors. Opens no file: whether those it names
    /// can be used remains open.
    pub fn parse(source_name: &str, text: &str) -> Result<Self, ConfigError> {
        let (files, reach) = (NamedFiles::Ignore, Reach::AsConfigured);
        Self::read(source_name, text, files, reach, None)
    }

    /// Where the cache is and where changes are taken, of a text that may have mistakes elsewhere. For
    /// who wants to tell the running Archway of the text, which then judges it.
    pub fn places(text: &str, file: &Path) -> (PathBuf, AdminSocket) {
        let (document, _) = DeTable::parse_recoverable(text);
        let problems = Problems::of_file_in(file.parent().map(Path::to_owned));
        let mut root = Table::document(document, &problems);
        let admin = root.section("admin", "a table such as [admin]", Admin::read);
        let cache = root.section("cache", "a table such as [cache]", CacheConfig::read);
        (cache.path, admin.into_config().socket)
    }

    fn read(
        source_name: &str,
        text: &str,
        files: NamedFiles,
        reach: Reach,
        folder: Option<PathBuf>,
    ) -> Result<Self, ConfigError> {
        let document = DeTable::parse(text).map_err(|error| {
            let at = error.span().unwrap_or_default().start;
            let title = match error.message().trim() {
                "duplicate key" => "a key is set twice".to_owned(),
                message => message.replace('\n', "; "),
            };
            Report::unparsed(source_name, text, at, title)
        })?;
        let problems = Problems::of_file_in(folder);
        let mut root = Table::document(document, &problems);
        let config = Self::read_sections(&mut root, reach);
        root.refuse_unknown();
        if files == NamedFiles::Check {
            problems.check_files();
        }
        match Report::of(source_name, text, problems.into_findings()) {
            Some(report) => Err(report.into()),
            None => Ok(config),
        }
    }

    fn read_sections(root: &mut Table<'_>, reach: Reach) -> Self {
        let upstreams = Upstreams::read(root, reach);
        let default_upstream = root.spanned("default_upstream");
        let default_upstream = default_upstream
            .and_then(|host| upstreams.known(host, "default_upstream", root.problems));
        let admin = root.section("admin", "a table such as [admin]", Admin::read);
        let server = root.section("server", "a table such as [server]", Server::read);
        let cache = root.section("cache", "a table such as [cache]", CacheConfig::read);
        let platform = root.section(
            "platform",
            "a table such as [platform]",
            PlatformConfig::read,
        );
        Self {
            default_upstream: default_upstream
                .unwrap_or_else(|| DEFAULT_UPSTREAM.parse().expect("a host")),
            listeners: listeners::read(root, &admin, &upstreams, &server),
            admin: admin.into_config(),
            bundles: root.section("bundles", "a table such as [bundles]", BundlesConfig::read),
            prefetch: root.section("prefetch", "a table such as [prefetch]", |table| {
                PrefetchConfig::read(table, &platform.kubernetes)
            }),
            tier: root
                .value("tier")
                .and_then(|tier| tier.table("a table such as [tier]", TierConfig::read))
                .flatten(),
            platform,
            replicas: ReplicasConfig::read(root),
            cache,
            log: root.section("log", "a table such as [log]", Log::read),
            audit: root.section("audit", "a table such as [audit]", AuditConfig::read),
            server,
            upstreams,
        }
    }

    /// Whether a client may call any listener by this name: an address, `localhost`, or a virtual
    /// host of `[platform]` or of an upstream.
    pub fn is_called(&self, host: &Host) -> bool {
        host.is_address_or_localhost()
            || self.platform.of_host(host).is_some()
            || self.upstreams.by_virtual_host(host).is_some()
    }

    /// The effective values as a file that reads back to an equal configuration. Of a secret it
    /// names the place only.
    pub fn to_toml(&self) -> String {
        let default_upstream = &self.default_upstream;
        let is_configured = self.upstreams.find(default_upstream).is_some();
        let printed = Printed {
            default_upstream: is_configured.then(|| default_upstream.as_str()),
            offline: self.upstreams.offline,
            parents: self.upstreams.parents(),
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
