//! What the proxy tells about itself: log lines, one access event per request, metrics.

pub mod access;
pub mod lines;
pub mod metrics;

use std::io::{self, IsTerminal};

use config::{Log, LogFormat};
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterFn, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use self::lines::Lines;

/// What these log below `info` are whole requests and answers, our tokens among them. A target begins with one of these.
const TALKATIVE: [&str; 6] = ["aws_", "h2", "hyper", "reqwest", "rustls", "tower"];

/// The crates of the program beside `proxy`, which are the targets of its events.
const CRATES: [&str; 6] = [
    "archway", "cache", "config", "protocol", "server", "upstream",
];

/// The target of the events that tell of requests.
const ACCESS: &str = "access";

/// Whether log lines are for people rather than for programs.
pub(crate) fn is_human(log: &Log) -> bool {
    match log.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => io::stderr().is_terminal(),
    }
}

/// Sends log events to standard error in the configured format. To be called once, by the binary, which hands the lines on to
/// those that write their own and flushes them at its end.
pub fn init(log: &Log) -> io::Result<Lines> {
    let lines = Lines::to(io::stderr())?;
    let registry = tracing_subscriber::registry().with(filter(log));
    let out = lines.clone();
    let layer = tracing_subscriber::fmt::layer().with_writer(move || out.clone());
    if is_human(log) {
        let layer = layer.with_ansi(io::stderr().is_terminal());
        registry.with(layer.with_filter(discreet())).init();
    } else {
        let layer = layer.json().flatten_event(true);
        registry.with(layer.with_filter(discreet())).init();
    }
    Ok(lines)
}

/// What is logged of what. Requests have a switch of their own, so the level of all the rest says nothing of them; a level for
/// their target does.
fn filter(log: &Log) -> EnvFilter {
    let filter =
        EnvFilter::try_new(directives(&log.level)).unwrap_or_else(|_| EnvFilter::new("info"));
    let names_access = || {
        let directives = log.level.split(',').filter_map(|one| one.split_once('='));
        directives
            .map(|(target, _)| target)
            .any(|target| target == ACCESS)
    };
    let level = match log.access {
        true if names_access() => return filter,
        true => "info",
        false => "off",
    };
    let directive = format!("{ACCESS}={level}");
    filter.add_directive(directive.parse().expect("a valid directive"))
}

/// The directives of `level`. One for `proxy` means the whole program, whatever crates it is made
/// of; one that names another crate of it goes before that, wherever it is written.
fn directives(level: &str) -> String {
    let whole = level
        .split(',')
        .filter_map(|directive| directive.trim().strip_prefix("proxy="));
    let implied = whole.flat_map(|level| CRATES.map(|name| format!("{name}={level}")));
    let written = level.split(',').map(str::to_owned);
    // Of two directives for one target the later one holds.
    implied.chain(written).collect::<Vec<_>>().join(",")
}

/// Keeps the talkative to `info`, whatever level was asked for, by a target of its own too.
fn discreet() -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    filter_fn(|metadata| {
        let target = metadata.target();
        *metadata.level() <= Level::INFO || !TALKATIVE.iter().any(|name| target.starts_with(name))
    })
}

#[cfg(test)]
mod tests {
    use tracing::{dispatcher, enabled};

    use super::*;

    /// Whether requests are logged, and whether a hint of the proxy is.
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
                enabled!(target: "proxy::pull", Level::INFO),
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
            assert!(enabled!(target: "proxy::pull", Level::DEBUG));
            assert!(enabled!(target: "server::tls", Level::DEBUG));
            assert!(enabled!(target: "cache::blobs", Level::DEBUG));
            assert!(!enabled!(target: "upstream::auth", Level::WARN));
            assert!(!enabled!(target: "some_library", Level::INFO));
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
