//! The log; with the access log and the registry of metrics from `observe`.
//!
//! Owns the log's levels and formats. Refuses to count for others: each part of the program
//! owns its metrics. `docs/logging.md` lists all events, `docs/operations.md` all metrics.

use std::io::{self, IsTerminal};

use config::{Log, LogFormat};
pub(crate) use observe::{access, audit, log_writer, metrics};
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterFn, filter_fn},
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

use window::EventRing;

use self::log_writer::LogWriter;

/// Libraries that log whole requests and answers below `info`, our tokens among them, by the
/// beginning of their targets.
const LEAKY_TARGETS: [&str; 6] = ["aws_", "h2", "hyper", "reqwest", "rustls", "tower"];

/// The crates of the program that log: each is the target of its own events, which operators are told
/// too. `cache` stands for `cache_store` too, whose target begins like it.
const CRATES: [&str; 17] = [
    "archway",
    "cache",
    "cluster",
    "config",
    "control",
    "image_inventory",
    "login",
    "peers",
    "protocol",
    "proxy",
    "pull",
    "replicas",
    "server",
    "systemd",
    "tier",
    "upstream",
    "window",
];

/// The clients of the Kubernetes API and of buckets, whose every failed attempt is an event. What is
/// worth telling of them `cluster` and `tier` tell.
const SAID_BY_US: [&str; 3] = ["kube_client", "kube_runtime", "object_store"];

/// The target of the access log.
const ACCESS_TARGET: &str = "access";

/// Whether log lines are for people rather than for programs.
pub(crate) fn is_human(log: &Log) -> bool {
    match log.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => io::stderr().is_terminal(),
    }
}

/// The log, once it is written.
#[derive(Debug)]
pub struct Logging {
    /// Where its lines go, for the access log.
    pub lines: LogWriter,
    /// Its levels, which may be replaced.
    pub levels: LogLevels,
    /// What is logged, for the operators.
    pub events: EventRing,
}

/// The levels of the log.
#[derive(Clone, Debug)]
pub struct LogLevels(reload::Handle<EnvFilter, Registry>);

impl LogLevels {
    /// Puts other levels in force.
    pub(crate) fn replace(&self, log: &Log) {
        // It fails only where nothing is logged any more.
        let _ = self.0.reload(filter(log));
    }
}

/// Sends log events to standard error in the configured format. The binary calls it once, passes
/// the writer to the access log and flushes it at the end.
pub fn init(log: &Log) -> io::Result<Logging> {
    let writer = LogWriter::to(io::stderr())?;
    let (levels, handle) = reload::Layer::new(filter(log));
    let events = EventRing::of(&CRATES);
    let registry = tracing_subscriber::registry().with(levels);
    let registry = registry.with(events.clone());
    let out = writer.clone();
    let layer = tracing_subscriber::fmt::layer().with_writer(move || out.clone());
    if is_human(log) {
        let layer = layer.with_ansi(io::stderr().is_terminal());
        registry.with(layer.with_filter(without_leaks())).init();
    } else {
        let layer = layer.json().flatten_event(true);
        registry.with(layer.with_filter(without_leaks())).init();
    }
    Ok(Logging {
        lines: writer,
        levels: LogLevels(handle),
        events,
    })
}

/// The levels of all targets. The access log has a switch of its own, so a general level leaves it
/// alone; only a level for its own target does not.
fn filter(log: &Log) -> EnvFilter {
    let filter =
        EnvFilter::try_new(directives(&log.level)).unwrap_or_else(|_| EnvFilter::new("info"));
    let names_access = || {
        let directives = log.level.split(',').filter_map(|one| one.split_once('='));
        directives
            .map(|(target, _)| target)
            .any(|target| target == ACCESS_TARGET)
    };
    let level = match log.access {
        true if names_access() => return filter,
        true => "info",
        false => "off",
    };
    let directive = format!("{ACCESS_TARGET}={level}");
    filter.add_directive(directive.parse().expect("a valid directive"))
}

/// The directives of `level`. One for `proxy` means the whole program, with all its crates; one
/// that names another crate of it goes before that, wherever it is written.
fn directives(level: &str) -> String {
    let whole = level
        .split(',')
        .filter_map(|directive| directive.trim().strip_prefix("proxy="));
    let implied = whole.flat_map(|level| CRATES.map(|name| format!("{name}={level}")));
    let written = level.split(',').map(|directive| {
        // As long as these crates were modules of `proxy`, `proxy::upstream=debug` named one.
        let module = directive.trim().strip_prefix("proxy::");
        let of_crate = module.filter(|module| {
            let end = module.find([':', '=', '[']).unwrap_or(module.len());
            CRATES.contains(&&module[..end])
        });
        of_crate.unwrap_or(directive).to_owned()
    });
    let silenced = SAID_BY_US.map(|name| format!("{name}=off"));
    // Of two directives for one target the later one holds.
    (silenced.into_iter())
        .chain(implied)
        .chain(written)
        .collect::<Vec<_>>()
        .join(",")
}

/// Holds [`LEAKY_TARGETS`] at `info`, even where the configuration names one of them with another
/// level.
fn without_leaks() -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    filter_fn(|metadata| {
        let target = metadata.target();
        *metadata.level() <= Level::INFO
            || !LEAKY_TARGETS.iter().any(|name| target.starts_with(name))
    })
}

#[cfg(test)]
mod tests {
    use tracing::{dispatcher, enabled};

    use super::*;

    /// Whether the access log is on, and whether the proxy's own events are.
    fn logged(level: &str, access: bool) -> (bool, bool) {
        let log = Log {
            format: LogFormat::Json,
            level: level.to_owned(),
            access,
        };
        let subscriber = tracing_subscriber::registry().with(filter(&log));
        dispatcher::with_default(&subscriber.into(), || {
            (
                enabled!(target: "access", Level::INFO),
                enabled!(target: "pull::fill", Level::INFO),
            )
        })
    }

    #[test]
    fn a_level_for_proxy_means_the_whole_program() {
        let log = Log {
            format: LogFormat::Json,
            level: "warn,upstream=error,proxy=debug".to_owned(),
            access: true,
        };
        let subscriber = tracing_subscriber::registry().with(filter(&log));
        dispatcher::with_default(&subscriber.into(), || {
            assert!(enabled!(target: "pull::fill", Level::DEBUG));
            assert!(enabled!(target: "server::tls", Level::DEBUG));
            assert!(enabled!(target: "cache::blobs", Level::DEBUG));
            assert!(enabled!(target: "cache_store::index", Level::DEBUG));
            assert!(!enabled!(target: "upstream::auth", Level::WARN));
            assert!(!enabled!(target: "some_library", Level::INFO));
        });
    }

    #[test]
    fn a_level_for_the_cache_means_its_directory_too() {
        let log = Log {
            format: LogFormat::Json,
            level: "proxy=debug,cache=error".to_owned(),
            access: true,
        };
        let subscriber = tracing_subscriber::registry().with(filter(&log));
        dispatcher::with_default(&subscriber.into(), || {
            assert!(!enabled!(target: "cache_store::index", Level::WARN));
            assert!(enabled!(target: "cache_store::index", Level::ERROR));
            assert!(enabled!(target: "pull::fill", Level::DEBUG));
        });
    }

    #[test]
    fn a_level_for_a_former_module_of_proxy_means_its_crate() {
        let log = Log {
            format: LogFormat::Json,
            level: "warn,proxy::upstream::auth=debug,proxy::pull=debug".to_owned(),
            access: true,
        };
        let subscriber = tracing_subscriber::registry().with(filter(&log));
        dispatcher::with_default(&subscriber.into(), || {
            assert!(enabled!(target: "upstream::auth::ecr", Level::DEBUG));
            assert!(!enabled!(target: "upstream::policy", Level::DEBUG));
            assert!(enabled!(target: "pull::fill", Level::DEBUG));
        });
    }

    #[test]
    fn requests_are_logged_by_their_own_switch_whatever_the_level_of_the_rest_is() {
        for (level, access, expected) in [
            ("info", true, (true, true)),
            ("info", false, (false, true)),
            ("warn,proxy=debug", true, (true, true)),
            ("error", true, (true, false)),
            ("off", true, (true, false)),
            ("info,access=off", true, (false, true)),
            ("error,access=info", false, (false, false)),
        ] {
            assert_eq!(logged(level, access), expected, "{level} {access}");
        }
    }
}
