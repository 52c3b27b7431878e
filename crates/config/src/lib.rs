//! The configuration: one TOML file in, values that are valid by construction out.
//!
//! Each section has a file of its own that holds its keys, its defaults and its checks: a private raw struct as the
//! file has it, resolved into the public type. Everything has a default, so that an empty file is a whole
//! configuration. `to_toml` is the way back. The environment is asked only for the default place of the cache and for secrets kept there.

mod cache;
mod error;
mod field;
mod key_pair;
mod listeners;
mod log;
mod mask;
mod platform;
mod prefetch;
mod print;
mod secret;
mod server;
mod suggest;
mod syntax;
mod tag_pattern;
mod tls;
mod units;
mod upstreams;

use std::{net::SocketAddr, path::Path};

pub use cache::CacheConfig;
pub use error::{ConfigError, Report};
use error::{Problem, Problems};
use field::{Entries, Field};
pub use key_pair::{Flaw, KeyPair, KeyPairError, PairFile, Refreshed};
pub use listeners::Listener;
pub use log::{Log, LogFormat};
pub use platform::PlatformConfig;
pub use prefetch::{Prefetch, PrefetchConfig};
use print::Page;
use protocol::host::{Host, HostPattern};
pub use secret::{Secret, SecretError};
use serde::Deserialize;
pub use server::Server;
pub use tag_pattern::TagPattern;
pub use upstreams::{
    Auth, ClientCertificate, EcrAuth, EcrPublicAuth, EndpointConfig, Limits, NamePattern, Prefer,
    Rate, Repositories, RepositoryRule, Resolve, Role, Rule, RuleAnswer, Rules, UpstreamConfig,
    Upstreams,
};

/// The upstream of a name that says nothing about its registry, unless the file names another.
const DEFAULT_UPSTREAM: &str = "docker.io";

/// Everything that can be set, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The upstream of a request that names none, on a listener that names none. Named in the file, it is a configured
    /// one; the built-in `docker.io` may be missing from the file's upstreams and then reaches nothing.
    pub default_upstream: Host,
    /// Where clients come in; never empty.
    pub listeners: Vec<Listener>,
    /// Where `/livez`, `/readyz` and `/metrics` are; `None` when the file says `"off"`.
    pub admin: Option<SocketAddr>,
    /// Where stored content lies and how much of it.
    pub cache: CacheConfig,
    /// Which platform a client is taken for.
    pub platform: PlatformConfig,
    /// What is downloaded before a client asks for it.
    pub prefetch: PrefetchConfig,
    /// The registries that can be reached.
    pub upstreams: Upstreams,
    /// What is logged and how.
    pub log: Log,
    /// Limits of the listeners.
    pub server: Server,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawConfig {
    default_upstream: Option<Field<Host>>,
    listener: Vec<listeners::RawListener>,
    admin: listeners::RawAdmin,
    cache: cache::RawCache,
    platform: platform::RawPlatform,
    prefetch: prefetch::RawPrefetch,
    upstream: Option<serde_spanned::Spanned<Entries<HostPattern, upstreams::RawUpstream>>>,
    log: log::RawLog,
    server: server::RawServer,
}

impl Config {
    /// What holds when there is no file.
    pub fn embedded() -> Result<Config, ConfigError> {
        Config::parse("built-in defaults", "")
    }

    /// Reads and checks a file, and whatever files it names.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let read = |source| ConfigError::Read {
            path: path.to_owned(),
            source,
        };
        let bytes = std::fs::read(path).map_err(read)?;
        let name = path.to_string_lossy();
        let text = String::from_utf8(bytes).map_err(|error| not_utf8(&name, &error))?;
        Config::parse(&name, &text)
    }

    /// Checks a text; `source_name` stands for the file in errors.
    pub fn parse(source_name: &str, text: &str) -> Result<Config, ConfigError> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| {
            let problem = syntax::problem(&error);
            Report::new(source_name, &mask::values(text), vec![problem])
        })?;
        let mut problems = Problems::default();
        let config = Config::resolve(raw, &mut problems);
        problems.into_result(source_name, text)?;
        Ok(config)
    }

    fn resolve(raw: RawConfig, problems: &mut Problems) -> Config {
        let upstreams = Upstreams::resolve(raw.upstream, problems);
        let default_upstream = raw
            .default_upstream
            .and_then(|field| upstreams.known(field, "default_upstream", problems))
            .unwrap_or_else(|| DEFAULT_UPSTREAM.parse().expect("a host"));
        let admin = raw.admin.resolve(problems);
        let server = raw.server.resolve(problems);
        Config {
            default_upstream,
            listeners: listeners::resolve(
                raw.listener,
                admin.as_ref(),
                &upstreams,
                &server,
                problems,
            ),
            admin: admin.map_or(Some(listeners::DEFAULT_ADMIN), |admin| admin.address),
            cache: raw.cache.resolve(problems),
            platform: raw.platform.resolve(problems),
            prefetch: raw.prefetch.resolve(problems),
            upstreams,
            log: raw.log.resolve(problems),
            server,
        }
    }

    /// The effective values as a file that reads back to an equal configuration. Of a secret it names the file only.
    pub fn to_toml(&self) -> String {
        let mut page = Page::default();
        if self.upstreams.find(&self.default_upstream).is_some() {
            page.string("default_upstream", self.default_upstream.as_str());
        } else {
            page.comment(&format!(
                "default_upstream is {}, which is not configured: a name must say its registry",
                self.default_upstream
            ));
        }
        listeners::print(&self.listeners, self.admin, &mut page);
        self.cache.print(&mut page);
        self.platform.print(&mut page);
        self.prefetch.print(&mut page);
        self.upstreams.print(&mut page);
        self.log.print(&mut page);
        self.server.print(&mut page);
        page.into_text()
    }
}

fn not_utf8(name: &str, error: &std::string::FromUtf8Error) -> ConfigError {
    let at = error.utf8_error().valid_up_to();
    let text = String::from_utf8_lossy(error.as_bytes());
    let problem =
        Problem::new(at..at + 1, "the file is not UTF-8").label("this byte is no character");
    Report::new(name, &text, vec![problem]).into()
}

#[cfg(test)]
mod tests;
