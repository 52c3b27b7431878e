//! The names of upstreams: how one is read, and the slips that are explained.

use std::ops::Range;

use protocol::host::{Host, HostPattern};

use crate::{
    meaning::{Meaning, Wrong},
    problem::Problem,
};

/// The canonical name of a registry, if this is another of its names: no request has that one.
pub(super) fn other_name(host: &Host) -> Option<Host> {
    let canonical = host.clone().canonical();
    (canonical != *host).then_some(canonical)
}

pub(super) fn misnamed(key: &str, span: Range<usize>, known_as: &Host) -> Problem {
    let title = format!("`{key}` must be the name a registry's images have");
    Problem::new(span, title).label(format!("images from here are named {known_as}/..."))
}

impl Meaning for Host {
    const WHAT: &'static str = "a registry's host";
    const EXAMPLE: &'static str = "\"docker.io\" or \"registry.example:5000\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        text.parse().map_err(|error| with_bare_host(text, error))
    }
}

impl Meaning for HostPattern {
    const WHAT: &'static str = "a registry's host or a pattern";
    const EXAMPLE: &'static str =
        "[upstream.\"docker.io\"] or [upstream.\"*.dkr.ecr.*.amazonaws.com\"]";

    fn read(text: &str) -> Result<Self, Wrong> {
        text.parse().map_err(|error| with_bare_host(text, error))
    }
}

/// A common slip is a URL instead of the host, sometimes with a password, which is not shown.
fn with_bare_host(text: &str, error: impl std::fmt::Display) -> Wrong {
    let wrong = match text.split_once("://") {
        None => Wrong::new(error),
        Some((_, rest)) => {
            // The login first: a password may have a slash in it.
            let rest = rest.rsplit('@').next().unwrap_or(rest);
            let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
            Wrong::new("this is a URL").help(format!("write the host alone: \"{host}\""))
        }
    };
    if text.contains('@') {
        wrong.secret()
    } else {
        wrong
    }
}
