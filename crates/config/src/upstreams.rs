//! `[upstream."HOST"]`: the registries that can be reached; nothing else can.
//!
//! A key is a host or a pattern. A request's host is looked up here before anything is asked of the network, and what
//! it gets is concrete: the endpoints, the credentials and the times for that one host.

mod auth;
mod authorities;
mod client_certificate;
mod endpoint;
mod endpoints;
mod entry;
mod limits;
mod repositories;
mod resolve;
mod rules;
mod virtual_hosts;

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

pub use auth::{Auth, EcrAuth, EcrPublicAuth, Role};
pub use client_certificate::ClientCertificate;
pub use endpoints::EndpointConfig;
use entry::Entry;
pub(super) use entry::RawUpstream;
pub use entry::UpstreamConfig;
pub use limits::{Limits, Rate};
use protocol::host::{Host, HostPattern, every_ecr_host};
pub use repositories::{Repositories, RepositoryRule};
pub use resolve::Resolve;
pub use rules::{NamePattern, Prefer, Rule, RuleAnswer, Rules};
use serde_spanned::Spanned;
use virtual_hosts::VirtualHosts;

use super::{
    error::{Problem, Problems},
    field::{Entries, Field, Meaning, Wrong},
    print::Page,
    suggest,
};

/// Reachable when the file has no `[upstream]` table, beside every private ECR registry.
const PUBLIC_REGISTRIES: [&str; 8] = [
    "docker.io",
    "ghcr.io",
    "quay.io",
    "public.ecr.aws",
    "registry.k8s.io",
    "gcr.io",
    "mcr.microsoft.com",
    "registry.gitlab.com",
];

/// The registries that can be reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstreams {
    /// The most specific first.
    entries: Vec<Entry>,
    virtual_hosts: BTreeMap<Host, Host>,
    origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    BuiltIn,
    File,
}

impl Upstreams {
    /// What is configured for a host: under its own name, else under the most specific pattern that matches it.
    /// `None` means that it must not be reached.
    pub fn find(&self, host: &Host) -> Option<UpstreamConfig> {
        // The built-in patterns are looser than ECR's names: an account is twelve digits.
        let allowed = |entry: &&Entry| {
            entry.pattern.matches(host)
                && (self.origin == Origin::File
                    || entry.pattern.exact().is_some()
                    || host.ecr().is_some())
        };
        self.entries.iter().find(allowed)?.for_host(host)
    }

    /// The upstream a client means when it asks Archway under this name, with or without a port.
    pub fn by_virtual_host(&self, host: &Host) -> Option<Host> {
        self.virtual_hosts
            .get(host)
            .or_else(|| self.virtual_hosts.get(&host.without_port()))
            .cloned()
    }

    /// The hosts and patterns that can be reached, the most specific first.
    pub fn patterns(&self) -> impl Iterator<Item = &HostPattern> {
        self.entries.iter().map(|entry| &entry.pattern)
    }

    /// Whether these are the built-in ones rather than those of a file.
    pub fn are_built_in(&self) -> bool {
        self.origin == Origin::BuiltIn
    }

    fn built_in() -> Upstreams {
        let registries = PUBLIC_REGISTRIES
            .iter()
            .map(|name| name.parse().expect("a host"));
        let mut entries: Vec<_> = registries
            .map(|host: Host| host.into())
            .chain(every_ecr_host())
            .map(Entry::with_defaults)
            .collect();
        entries.sort_by(|a, b| a.pattern.cmp(&b.pattern));
        Upstreams {
            entries,
            virtual_hosts: BTreeMap::new(),
            origin: Origin::BuiltIn,
        }
    }

    pub(super) fn resolve(
        raw: Option<Spanned<Entries<HostPattern, RawUpstream>>>,
        problems: &mut Problems,
    ) -> Upstreams {
        let Some(raw) = raw else {
            return Upstreams::built_in();
        };
        let span = raw.span();
        let raw = raw.into_inner().0;
        if raw.is_empty() {
            let problem = Problem::new(span, "`upstream` is empty, so nothing can be reached");
            let help = "leave the table out for the well-known registries, or add [upstream.\"docker.io\"]";
            problems.add(problem.label("no upstream in here").help(help));
        }
        let mut entries: Vec<Entry> = Vec::new();
        let mut places = HashMap::new();
        let mut virtual_hosts = VirtualHosts::default();
        for (key, raw) in raw {
            let span = key.span.clone();
            let Some(pattern) = key.take("upstream", problems) else {
                continue;
            };
            if let Some(known_as) = pattern.exact().and_then(other_name) {
                let help = format!(
                    "did you mean [upstream.\"{known_as}\"]? Where it is asked is told by its `endpoints`"
                );
                problems.add(misnamed("upstream", span, &known_as).help(help));
                continue;
            }
            if let Some(first) = places.insert(pattern.clone(), span.clone()) {
                let problem = Problem::new(span, format!("two upstreams for `{pattern}`"))
                    .label("the second");
                problems.add(
                    problem
                        .other(first, "the first")
                        .help("make one table of them"),
                );
                continue;
            }
            let (entry, hosts) = Entry::resolve(pattern, raw, problems);
            virtual_hosts.claim(&entry.pattern, hosts, problems);
            entries.push(entry);
        }
        entries.sort_by(|a, b| a.pattern.cmp(&b.pattern));
        Upstreams {
            entries,
            virtual_hosts: virtual_hosts.upstreams,
            origin: Origin::File,
        }
    }

    /// The host of a key that names an upstream, if it is one.
    pub(super) fn known(
        &self,
        field: Field<Host>,
        key: &str,
        problems: &mut Problems,
    ) -> Option<Host> {
        let span = field.span.clone();
        let host = field.take(key, problems)?;
        if let Some(known_as) = other_name(&host) {
            let help = format!("did you mean `{known_as}`?");
            problems.add(misnamed(key, span, &known_as).help(help));
            return None;
        }
        if self.find(&host).is_some() {
            return Some(host);
        }
        let names: Vec<_> = self.patterns().map(HostPattern::as_str).collect();
        let help = suggest::nearest(host.as_str(), &names).map_or_else(
            || format!("add a table [upstream.\"{host}\"]"),
            |near| format!("did you mean `{near}`? Else add a table [upstream.\"{host}\"]"),
        );
        let title = format!("`{key}` names an upstream that is not configured");
        problems.add(
            Problem::new(span, title)
                .label("no such upstream")
                .help(help),
        );
        None
    }

    pub(super) fn print(&self, page: &mut Page) {
        if self.origin == Origin::File {
            self.entries
                .iter()
                .for_each(|entry| entry.print(&self.virtual_hosts_of(entry), page));
            return;
        }
        page.header("# There is no [upstream] table, so these can be reached:");
        self.patterns()
            .for_each(|pattern| page.comment(&format!("    {pattern}")));
        page.comment("each as if the file had a table for it such as:");
        let mut table = Page::default();
        let example = self.entries.first().expect("some are built in");
        example.print(&[], &mut table);
        table
            .into_text()
            .lines()
            .for_each(|line| page.comment(line));
    }

    fn virtual_hosts_of(&self, entry: &Entry) -> Vec<&Host> {
        let exact = entry.pattern.exact();
        self.virtual_hosts
            .iter()
            .filter(|(_, upstream)| Some(*upstream) == exact)
            .map(|(host, _)| host)
            .collect()
    }
}

/// The one name of a registry, where this is another of its names: no request would ever be for that.
fn other_name(host: &Host) -> Option<Host> {
    let canonical = host.clone().canonical();
    (canonical != *host).then_some(canonical)
}

fn misnamed(key: &str, span: Range<usize>, known_as: &Host) -> Problem {
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

/// Many write a URL where the host alone is meant, some even one with a password, which is not shown.
fn with_bare_host(text: &str, error: impl std::fmt::Display) -> Wrong {
    let wrong = match text.split_once("://") {
        None => Wrong::new(error),
        Some((_, rest)) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
            let host = authority.rsplit('@').next().unwrap_or(authority);
            Wrong::new("this is a URL").help(format!("write the host alone: \"{host}\""))
        }
    };
    if text.contains('@') {
        wrong.secret()
    } else {
        wrong
    }
}
