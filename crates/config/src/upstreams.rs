//! `[upstream."HOST"]`: the registries that can be reached; nothing else can.
//!
//! A key is a host or a pattern. The host of a request is looked up here before the network is
//! asked, and the result is concrete: endpoints, credentials and settings of that one host.

mod auth;
mod endpoint;
mod endpoints;
mod entry;
mod limits;
mod repositories;
mod resolve;
mod rules;
mod settings;

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

pub use auth::{Auth, EcrAuth, EcrPublicAuth, Role};
pub use endpoints::EndpointConfig;
use entry::Entry;
pub use entry::UpstreamConfig;
pub use limits::{Limits, Rate};
use protocol::host::{Host, HostPattern, every_ecr_host};
pub use repositories::{Repositories, RepositoryRule};
pub use resolve::Resolve;
pub use rules::{NamePattern, Prefer, Rule, RuleAnswer, Rules};
use serde::{Serialize, Serializer};
pub use settings::{ClientCertificate, UpstreamSettings};
use toml::Spanned;

use crate::{
    meaning::{Meaning, Wrong},
    problem::{Problem, Problems},
    suggest,
    table::{Table, Value},
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
#[derive(Clone, Debug, PartialEq)]
pub struct Upstreams {
    /// The most specific first.
    entries: Vec<Entry>,
    virtual_hosts: BTreeMap<Host, Host>,
    origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    BuiltIn,
    File,
}

impl Upstreams {
    /// The configuration of a host: under its own name, else under the most specific pattern that
    /// matches it. `None` means that it must not be reached.
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

    fn built_in() -> Self {
        let registries = PUBLIC_REGISTRIES
            .iter()
            .map(|name| name.parse().expect("a host"));
        let problems = Problems::default();
        let mut entries: Vec<_> = registries
            .map(|host: Host| host.into())
            .chain(every_ecr_host())
            .map(|pattern| Entry::read(pattern, &mut Table::empty(&problems)).0)
            .collect();
        entries.sort_by(|a, b| a.pattern.cmp(&b.pattern));
        Self {
            entries,
            virtual_hosts: BTreeMap::new(),
            origin: Origin::BuiltIn,
        }
    }

    pub(crate) fn read(root: &mut Table<'_>) -> Self {
        let problems = root.problems;
        let Some(tables) = root.value("upstream") else {
            return Self::built_in();
        };
        let span = tables.span.clone();
        let Some(tables) = tables.entries("upstream") else {
            return Self::built_in();
        };
        if tables.is_empty() {
            let problem = Problem::new(span, "`upstream` is empty, so nothing can be reached")
                .label("no upstream in here")
                .help("remove the table for the well-known registries, or add [upstream.\"docker.io\"]");
            problems.add(problem);
        }
        let mut reading = Reading::default();
        for (pattern, table) in tables {
            match pattern {
                Some(pattern) => reading.add(pattern, table, problems),
                None => table.hide(),
            }
        }
        let mut entries = reading.entries;
        entries.sort_by(|a, b| a.pattern.cmp(&b.pattern));
        let virtual_hosts = entries.iter().flat_map(|entry| {
            let upstream = entry.pattern.exact();
            let hosts = entry.hosts.iter().cloned();
            hosts.filter_map(move |host| Some((host, upstream?.clone())))
        });
        Self {
            virtual_hosts: virtual_hosts.collect(),
            entries,
            origin: Origin::File,
        }
    }

    /// The host of a key that names an upstream, if it is one.
    pub(crate) fn known(
        &self,
        host: Spanned<Host>,
        key: &str,
        problems: &Problems,
    ) -> Option<Host> {
        let (span, host) = (host.span(), host.into_inner());
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
        let problem = Problem::new(span, title).label("no such upstream");
        problems.add(problem.help(help));
        None
    }

    /// The rest of a printed file: the rules that no key spells out, and the upstreams of a
    /// configuration that names none.
    pub(crate) fn comment(&self) -> String {
        let mut lines = vec![
            "Without `endpoints` a registry is asked at https:// and its host (docker.io at".to_owned(),
            "https://registry-1.docker.io); without `auth` it is \"ecr\" for private ECR, else \"anonymous\"."
                .to_owned(),
        ];
        if self.are_built_in() {
            lines.push("There is no [upstream] table, so these can be reached:".to_owned());
            lines.extend(self.patterns().map(|pattern| format!("    {pattern}")));
            lines.push("each as if the file had a table for it such as:".to_owned());
            let example = self.entries.first().expect("some are built in");
            let table = BTreeMap::from([(example.pattern.as_str(), example)]);
            let file = BTreeMap::from([("upstream", table)]);
            let file = toml::to_string(&file).expect("every value is one of TOML");
            lines.extend(file.lines().map(str::to_owned));
        }
        let lines = lines
            .iter()
            .map(|line| format!("# {line}").trim_end().to_owned() + "\n");
        "\n".to_owned() + &lines.collect::<String>()
    }
}

/// The tables read so far, and where each of their names is.
#[derive(Default)]
struct Reading {
    entries: Vec<Entry>,
    patterns: HashMap<HostPattern, Range<usize>>,
    virtual_hosts: HashMap<Host, Range<usize>>,
}

impl Reading {
    fn add(&mut self, pattern: Spanned<HostPattern>, table: Value<'_>, problems: &Problems) {
        let (span, pattern) = (pattern.span(), pattern.into_inner());
        if let Some(known_as) = pattern.exact().and_then(other_name) {
            let help = format!(
                "did you mean [upstream.\"{known_as}\"]? Its `endpoints` set where it is asked"
            );
            problems.add(misnamed("upstream", span, &known_as).help(help));
            return table.hide();
        }
        if let Some(first) = self.patterns.insert(pattern.clone(), span.clone()) {
            let problem = Problem::new(span, format!("two upstreams for `{pattern}`"))
                .label("the second")
                .other(first, "the first")
                .help("merge them into one table");
            problems.add(problem);
            return table.hide();
        }
        let expected = "a table such as [upstream.\"docker.io\"]";
        let read = table.table(expected, |table| Entry::read(pattern, table));
        let Some((mut entry, hosts)) = read else {
            return;
        };
        let hosts = hosts.into_iter();
        entry.hosts = hosts
            .filter_map(|host| self.claim(&entry.pattern, host, problems))
            .collect();
        self.entries.push(entry);
    }

    /// The virtual host, if `pattern` may have it.
    fn claim(
        &mut self,
        pattern: &HostPattern,
        host: Spanned<Host>,
        problems: &Problems,
    ) -> Option<Host> {
        let (span, host) = (host.span(), host.into_inner());
        if pattern.exact().is_none() {
            let title = format!("`hosts` needs one upstream, `{pattern}` is many");
            let problem = Problem::new(span, title)
                .label("means no single registry")
                .help("move it to the table of one host");
            problems.add(problem);
            return None;
        }
        if let Some(first) = self.virtual_hosts.insert(host.clone(), span.clone()) {
            let title = format!("two upstreams claim the virtual host `{host}`");
            let problem = Problem::new(span, title)
                .label("already taken")
                .other(first, "first claimed here");
            problems.add(problem);
            return None;
        }
        Some(host)
    }
}

impl Serialize for Upstreams {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.entries.iter();
        serializer.collect_map(entries.map(|entry| (entry.pattern.as_str(), entry)))
    }
}

/// The canonical name of a registry, if this is another of its names: no request has that one.
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
