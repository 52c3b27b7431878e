//! The settings of an `[upstream."HOST"]` table, which hold for all hosts that its key matches.
//!
//! A key is its documented field and its line in `read`; nothing else lists them.

use std::{path::PathBuf, time::Duration};

use manifest_model::{Platform, RepoName};
use protocol::host::{Host, HostPattern};
use serde::{Serialize, Serializer};
use toml::Spanned;

use super::{
    auth::AuthSetting,
    limits::Limits,
    repositories::{RepoPattern, Repositories},
    resolve::Resolve,
    rules::Rules,
};
use crate::{
    named_files,
    platform::PlatformValue,
    problem::Problem,
    show,
    table::Table,
    tag_pattern::TagPattern,
    units::{self, Interval, Size, Timeout},
};

const DEFAULT_TAG_TTL: Interval = Interval(Duration::from_mins(1));
const DEFAULT_STALE_IF_ERROR: Interval = Interval(Duration::from_hours(24));
const DEFAULT_NOT_FOUND_TTL: Interval = Interval(Duration::from_secs(10));
const DEFAULT_CONNECT_TIMEOUT: Timeout = Timeout(Duration::from_secs(3));
const DEFAULT_HEADER_TIMEOUT: Timeout = Timeout(Duration::from_secs(8));
const DEFAULT_IDLE_TIMEOUT: Timeout = Timeout(Duration::from_secs(5));
const DEFAULT_PARALLEL: usize = 6;
const MAX_PARALLEL: usize = 64;
const DEFAULT_LIST_MAX: u64 = 32 << 20;

/// Bytes of lists that may be held at once, of all upstreams and for all clients.
pub const LISTS_HELD: u64 = 64 << 20;

/// How an upstream is asked, and how long its answers hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UpstreamSettings {
    /// Whether ECR's API is asked when listed images were pushed.
    pub pushed_at: bool,
    /// The platform of a client of this upstream when there is no other hint; `None` leaves it to
    /// the global default.
    #[serde(serialize_with = "show::optional_text")]
    pub platform: Option<Platform>,
    /// When a tag that is an index is answered by one of its children.
    pub resolve: Resolve,
    /// How long a tag holds before it is revalidated; zero revalidates each time.
    #[serde(serialize_with = "show::duration")]
    pub tag_ttl: Duration,
    /// How long beyond that a tag may be served while the upstream is in trouble; zero is never.
    #[serde(serialize_with = "show::duration")]
    pub stale_if_error: Duration,
    /// How long the upstream's "not found" holds; zero asks each time.
    #[serde(serialize_with = "show::duration")]
    pub not_found_ttl: Duration,
    /// Tags that never change once seen.
    pub immutable_tags: Vec<TagPattern>,
    /// Tags with a time of their own instead of `tag_ttl`; the first that matches counts.
    #[serde(serialize_with = "show_tag_ttls")]
    pub tag_ttls: Vec<(TagPattern, Duration)>,
    /// Whether a tag is still served after the upstream has answered that it is gone.
    pub serve_deleted_tags: bool,
    /// The longest time to a connection, TLS included; never zero.
    #[serde(serialize_with = "show::duration")]
    pub connect_timeout: Duration,
    /// The longest time from a request to the headers of its response; never zero. A client waits
    /// for 9 s at most, with all calls made for it, or for a second longer than this one call may take.
    #[serde(serialize_with = "show::duration")]
    pub header_timeout: Duration,
    /// The longest pause within a body; never zero. A whole body has no limit.
    #[serde(serialize_with = "show::duration")]
    pub idle_timeout: Duration,
    /// Certificates (PEM) trusted beside the built-in ones.
    pub ca_file: Option<PathBuf>,
    /// How many connections one large blob may be fetched over; 1 is one after another.
    pub parallel: usize,
    /// Hosts in private networks that this upstream may name as token realms and redirect to.
    #[serde(serialize_with = "show::texts")]
    pub private_hosts: Vec<Host>,
    /// Bytes of one list of tags or referrers, or of one page of it; never above [`LISTS_HELD`].
    #[serde(serialize_with = "show::size")]
    pub list_max: u64,
    /// How often it is asked, and how long a call waits for its turn.
    #[serde(flatten)]
    pub limits: Limits,
    /// The certificate for an upstream that asks for one.
    #[serde(flatten)]
    pub client_certificate: Option<ClientCertificate>,
    /// Names answered from other names.
    #[serde(flatten)]
    pub rules: Rules,
    /// The repositories that clients may ask for; empty is all of them.
    #[serde(serialize_with = "show::texts", skip_serializing_if = "Vec::is_empty")]
    pub allow_repositories: Vec<RepoPattern>,
    /// Settings of some of its repositories only.
    pub repositories: Repositories,
}

/// Two PEM files that identify Archway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientCertificate {
    /// The certificate, then those between it and its root.
    #[serde(rename = "client_cert_file")]
    pub chain: PathBuf,
    /// Its private key.
    #[serde(rename = "client_key_file")]
    pub key: PathBuf,
}

impl UpstreamSettings {
    pub(super) fn read(table: &mut Table<'_>, auth: &AuthSetting, pattern: &HostPattern) -> Self {
        Self {
            pushed_at: auth.read_pushed_at(table, pattern),
            platform: table
                .take("platform")
                .map(|PlatformValue(platform)| platform),
            resolve: table.or("resolve", Resolve::Explicit),
            tag_ttl: table.or("tag_ttl", DEFAULT_TAG_TTL).0,
            stale_if_error: table.or("stale_if_error", DEFAULT_STALE_IF_ERROR).0,
            not_found_ttl: table.or("not_found_ttl", DEFAULT_NOT_FOUND_TTL).0,
            immutable_tags: table.list("immutable_tags"),
            tag_ttls: read_tag_ttls(table),
            serve_deleted_tags: table.flag("serve_deleted_tags", false),
            connect_timeout: table.or("connect_timeout", DEFAULT_CONNECT_TIMEOUT).0,
            header_timeout: table.or("header_timeout", DEFAULT_HEADER_TIMEOUT).0,
            idle_timeout: table.or("idle_timeout", DEFAULT_IDLE_TIMEOUT).0,
            ca_file: table
                .spanned("ca_file")
                .map(|file| named_files::authorities(file, table.problems)),
            parallel: table.count("parallel", 1..=MAX_PARALLEL, DEFAULT_PARALLEL),
            private_hosts: table.list("private_hosts"),
            list_max: read_list_max(table),
            limits: Limits::read(table),
            client_certificate: ClientCertificate::read(table),
            rules: Rules::read(table),
            allow_repositories: read_allowed(table),
            repositories: Repositories::read(table),
        }
    }

    /// Whether clients may ask for this repository.
    pub fn allows(&self, repository: &RepoName) -> bool {
        let allowed = &self.allow_repositories;
        allowed.is_empty() || allowed.iter().any(|pattern| pattern.matches(repository))
    }

    /// When a tag of this repository that is an index is answered by one of its children.
    pub fn resolve_of(&self, repository: &RepoName) -> Resolve {
        let rule = self.repositories.rule(repository);
        rule.and_then(|rule| rule.resolve).unwrap_or(self.resolve)
    }

    /// The platform of a client of this repository when there is no other hint; `None` leaves it to
    /// the global default.
    pub fn platform_of(&self, repository: &RepoName) -> Option<&Platform> {
        let rule = self.repositories.rule(repository);
        rule.and_then(|rule| rule.platform.as_ref())
            .or(self.platform.as_ref())
    }
}

fn read_allowed(table: &mut Table<'_>) -> Vec<RepoPattern> {
    let patterns = table.limit("allow_repositories").into_iter();
    patterns.map(Spanned::into_inner).collect()
}

fn read_list_max(table: &mut Table<'_>) -> u64 {
    let Some(field) = table.spanned::<Size>("list_max") else {
        return DEFAULT_LIST_MAX;
    };
    let (span, Size(list_max)) = (field.span(), field.into_inner());
    if list_max > LISTS_HELD {
        let held = units::size(LISTS_HELD);
        let problem = Problem::new(span, format!("`list_max` is above {held}"))
            .label("such a list would not fit beside others")
            .help(format!(
                "all lists together get {held}: set a size up to that"
            ));
        table.problems.add(problem);
        return DEFAULT_LIST_MAX;
    }
    list_max
}

fn read_tag_ttls(table: &mut Table<'_>) -> Vec<(TagPattern, Duration)> {
    let entries = table.entries::<TagPattern>("tag_ttls").into_iter();
    let ttls = entries.filter_map(|(pattern, ttl)| {
        let Interval(ttl) = ttl.read("tag_ttls")?.into_inner();
        Some((pattern?.into_inner(), ttl))
    });
    ttls.collect()
}

fn show_tag_ttls<S: Serializer>(
    ttls: &[(TagPattern, Duration)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let ttls = ttls.iter();
    serializer.collect_map(ttls.map(|(pattern, ttl)| (pattern, units::duration(*ttl))))
}

impl ClientCertificate {
    /// From two keys; one without the other is a mistake.
    fn read(table: &mut Table<'_>) -> Option<Self> {
        let names = ["client_cert_file", "client_key_file"];
        let files = names.map(|name| (name, table.value(name)));
        if let [(here, Some(value)), (missing, None)] | [(missing, None), (here, Some(value))] =
            &files
        {
            let problem = Problem::new(value.span.clone(), format!("`{here}` needs `{missing}`"))
                .label("only one of the two")
                .help("a certificate and its key are two PEM files; name both");
            table.problems.add(problem);
        }
        let [chain, key] = files.map(|(name, value)| value?.read::<PathBuf>(name));
        let files = [chain?, key?];
        let purpose = "to identify with";
        let files = named_files::key_pair(names, files, purpose, table.problems);
        Some(Self {
            chain: files.cert,
            key: files.key,
        })
    }
}
