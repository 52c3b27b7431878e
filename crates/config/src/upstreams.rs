//! `[upstream."HOST"]`: the registries that can be reached; nothing else can.
//!
//! A key is a host or a pattern. The host of a request is looked up here before the network is
//! asked, and the result is concrete: endpoints, credentials and settings of that one host.

mod auth;
mod endpoint;
mod endpoints;
mod entry;
mod limits;
mod names;
mod reading;
mod repositories;
mod resolve;
mod rules;
mod settings;

use std::collections::BTreeMap;

pub use auth::{Auth, EcrAuth, EcrPublicAuth, Role};
use endpoint::Endpoint;
pub use endpoints::EndpointConfig;
use entry::Entry;
pub use entry::UpstreamConfig;
pub use limits::{Limits, Rate};
use names::{misnamed, other_name};
use protocol::host::{Host, HostPattern, every_ecr_host};
use reading::Reading;
pub use repositories::{RepoPattern, Repositories, RepositoryRule};
pub use resolve::Resolve;
pub use rules::{NamePattern, Prefer, Rule, RuleAnswer, Rules};
use serde::{Serialize, Serializer};
pub use settings::{ClientCertificate, LISTS_HELD, UpstreamSettings};
use toml::Spanned;

use crate::{
    Reach,
    problem::{Problem, Problems},
    suggest,
    table::Table,
};

/// Reachable when the file has no `[upstream]` table, beside every private ECR registry.
pub const PUBLIC_REGISTRIES: [&str; 8] = [
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
    /// Other Archways, asked for every upstream before its own endpoints.
    parents: Vec<Endpoint>,
    origin: Origin,
    /// The top-level `offline`: it holds for all of them.
    pub(crate) offline: bool,
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
        let mut found = self.entries.iter().find(allowed)?.for_host(host)?;
        let parents = self.parents.iter();
        let parents = parents.map(|Endpoint(url)| EndpointConfig::parent(url.clone()));
        found.endpoints.splice(..0, parents);
        found.offline |= self.offline;
        Some(found)
    }

    /// The other Archways that are asked first, as the file names them.
    pub(crate) fn parents(&self) -> Vec<String> {
        let parents = self.parents.iter();
        parents.map(|Endpoint(url)| endpoint::text(url)).collect()
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

    /// The hosts and patterns that are served from what is stored alone, the most specific first.
    pub fn offline_patterns(&self) -> impl Iterator<Item = &HostPattern> {
        let entries = self.entries.iter();
        let offline = entries.filter(|entry| self.offline || entry.offline);
        offline.map(|entry| &entry.pattern)
    }

    /// Whether none of them is ever asked.
    pub fn are_offline(&self) -> bool {
        self.offline || self.entries.iter().all(|entry| entry.offline)
    }

    /// Whether these are the built-in ones rather than those of a file.
    pub fn are_built_in(&self) -> bool {
        self.origin == Origin::BuiltIn
    }

    fn built_in(offline: bool) -> Self {
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
            parents: Vec::new(),
            origin: Origin::BuiltIn,
            offline,
        }
    }

    pub(crate) fn read(root: &mut Table<'_>, reach: Reach) -> Self {
        let parents = root.list("parents");
        let offline = root.flag("offline", false) || reach == Reach::Offline;
        Self {
            parents,
            ..Self::read_tables(root, offline)
        }
    }

    fn read_tables(root: &mut Table<'_>, offline: bool) -> Self {
        let problems = root.problems;
        let Some(tables) = root.value("upstream") else {
            return Self::built_in(offline);
        };
        let span = tables.span.clone();
        let Some(tables) = tables.entries("upstream") else {
            return Self::built_in(offline);
        };
        if tables.is_empty() {
            let problem = Problem::new(span, "`upstream` is empty, so nothing can be reached")
                .label("no upstream in here")
                .help("remove the table for the well-known registries, or add [upstream.\"docker.io\"]");
            problems.add(problem);
        }
        let mut reading = Reading::new(offline);
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
            parents: Vec::new(),
            entries,
            origin: Origin::File,
            offline,
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

    /// A pattern of a listener's `upstreams`, if it covers some upstream.
    pub(crate) fn known_pattern(
        &self,
        pattern: Spanned<HostPattern>,
        problems: &Problems,
    ) -> Option<HostPattern> {
        const KEY: &str = "upstreams";
        if let Some(host) = pattern.get_ref().exact() {
            let host = Spanned::new(pattern.span(), host.clone());
            return self.known(host, KEY, problems).map(HostPattern::from);
        }
        let (span, pattern) = (pattern.span(), pattern.into_inner());
        if self.patterns().any(|known| known.overlaps(&pattern)) {
            return Some(pattern);
        }
        let problem = Problem::new(span, format!("no upstream matches this pattern of `{KEY}`"))
            .label("allows nothing")
            .help(format!(
                "add a table [upstream.\"{pattern}\"], or name one there is"
            ));
        problems.add(problem);
        None
    }

    /// The upstreams that see an identity of ours, and which. One that is never asked sees none.
    pub(crate) fn identities(&self) -> impl Iterator<Item = (&HostPattern, String)> {
        let entries = self.entries.iter();
        let asked = entries.filter(|entry| !self.offline && !entry.offline);
        asked.filter_map(|entry| Some((&entry.pattern, entry.identity()?)))
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

impl Serialize for Upstreams {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.entries.iter();
        serializer.collect_map(entries.map(|entry| (entry.pattern.as_str(), entry)))
    }
}
