//! What the proxy tells about itself: log lines, one access event per request, metrics.

pub mod access;
pub mod lines;
pub mod metrics;
pub(crate) mod second;

use std::io::{self, IsTerminal};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterFn, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use self::lines::Lines;
use crate::config::{Log, LogFormat};

/// What these log below `info` are whole requests and answers, our tokens among them. A target begins with one of these.
const TALKATIVE: [&str; 6] = ["aws_", "h2", "hyper", "reqwest", "rustls", "tower"];

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
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let filter = if log.access {
        filter
    } else {
        filter.add_directive("access=off".parse().expect("a valid directive"))
    };
    let registry = tracing_subscriber::registry().with(filter);
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

/// Keeps the talkative to `info`, whatever level was asked for, by a target of its own too.
fn discreet() -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    filter_fn(|metadata| {
        let target = metadata.target();
        *metadata.level() <= Level::INFO || !TALKATIVE.iter().any(|name| target.starts_with(name))
    })
}
