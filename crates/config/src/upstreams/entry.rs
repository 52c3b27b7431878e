//! One `[upstream."HOST"]` table and its defaults.

use std::{path::PathBuf, time::Duration};

use manifest_model::{Platform, RepoName};
use protocol::host::{Host, HostPattern};
use serde::Deserialize;
use serde_spanned::Spanned;

use super::{
    auth::{AuthSetting, RawAuth},
    authorities,
    client_certificate::ClientCertificate,
    endpoints::{EndpointConfig, Endpoints, RawEndpoint},
    limits::{Limits, Rate, RawLimits},
    repositories::{RawRepositories, Repositories},
    resolve::Resolve,
    rules::{RawAlias, RawVirtualIndex, Rules},
};
use crate::{
    error::Problems,
    field::{Count, Entries, Field, Meaning, or},
    platform::PlatformValue,
    print::{Page, quoted},
    tag_pattern::TagPattern,
    units::{self, Interval, Timeout},
};

const DEFAULT_TAG_TTL: Interval = Interval(Duration::from_mins(1));
const DEFAULT_STALE_IF_ERROR: Interval = Interval(Duration::from_hours(24));
const DEFAULT_NOT_FOUND_TTL: Interval = Interval(Duration::from_secs(10));
const DEFAULT_CONNECT_TIMEOUT: Timeout = Timeout(Duration::from_secs(5));
const DEFAULT_HEADER_TIMEOUT: Timeout = Timeout(Duration::from_secs(20));
const DEFAULT_IDLE_TIMEOUT: Timeout = Timeout(Duration::from_secs(30));
const DEFAULT_PARALLEL: usize = 6;
const MOST_PARALLEL: usize = 64;

/// How one upstream host is reached and how long its answers hold.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamConfig {
    /// The key of its table: of these there are as many as the file has, so metrics may be labelled with it.
    pub pattern: HostPattern,
    /// Where it is served, tried in order; never empty.
    pub endpoints: Vec<EndpointConfig>,
    /// What a client of this upstream is taken for when nothing else speaks; `None` leaves it to the global default.
    pub platform: Option<Platform>,
    /// When a tag that is an index is answered by one of its children.
    pub resolve: Resolve,
    /// What holds for some of its repositories only.
    pub repositories: Repositories,
    /// How long a tag holds before it is asked for again; zero asks each time.
    pub tag_ttl: Duration,
    /// How long beyond that a tag may be served while the upstream is in trouble; zero is never.
    pub stale_if_error: Duration,
    /// How long the upstream's "not found" holds; zero asks each time.
    pub not_found_ttl: Duration,
    /// Tags that never change once seen.
    pub immutable_tags: Vec<TagPattern>,
    /// Tags with a time of their own instead of `tag_ttl`; the first that matches counts.
    pub tag_ttls: Vec<(TagPattern, Duration)>,
    /// Whether a tag is still served after the upstream has said that it is gone.
    pub serve_deleted_tags: bool,
    /// The longest time to a connection, TLS included; never zero.
    pub connect_timeout: Duration,
    /// The longest time from a request to the headers of its answer; never zero.
    pub header_timeout: Duration,
    /// The longest pause within a body; never zero. There is no limit to a whole body.
    pub idle_timeout: Duration,
    /// Certificates (PEM) trusted beside the built-in ones; there was one in the file at start.
    pub ca_file: Option<PathBuf>,
    /// How many connections one large blob may be fetched over; 1 is one after another.
    pub parallel: usize,
    /// Names answered from other names.
    pub rules: Rules,
    /// Hosts in private networks that this upstream may name as token realms and redirect to.
    pub private_hosts: Vec<Host>,
    /// How often it is asked, and how long a call waits for its turn.
    pub limits: Limits,
    /// What Archway shows when the upstream asks for a certificate.
    pub client_certificate: Option<ClientCertificate>,
    /// Whether ECR's API is asked when listed images were pushed.
    pub pushed_at: bool,
}

impl UpstreamConfig {
    /// When a tag of this repository that is an index is answered by one of its children.
    pub fn resolve_of(&self, repository: &RepoName) -> Resolve {
        let rule = self.repositories.rule(repository);
        rule.and_then(|rule| rule.resolve).unwrap_or(self.resolve)
    }

    /// What a client of this repository is taken for when nothing else speaks; `None` leaves it to the global default.
    pub fn platform_of(&self, repository: &RepoName) -> Option<&Platform> {
        let rule = self.repositories.rule(repository);
        rule.and_then(|rule| rule.platform.as_ref())
            .or(self.platform.as_ref())
    }
}

/// A table of the file, for all hosts its key means.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) pattern: HostPattern,
    endpoints: Endpoints,
    auth: AuthSetting,
    platform: Option<Platform>,
    resolve: Resolve,
    repositories: Repositories,
    tag_ttl: Interval,
    stale_if_error: Interval,
    not_found_ttl: Interval,
    immutable_tags: Vec<TagPattern>,
    tag_ttls: Vec<(TagPattern, Duration)>,
    serve_deleted_tags: bool,
    connect_timeout: Timeout,
    header_timeout: Timeout,
    idle_timeout: Timeout,
    ca_file: Option<PathBuf>,
    parallel: usize,
    rules: Rules,
    private_hosts: Vec<Host>,
    limits: Limits,
    client_certificate: Option<ClientCertificate>,
    pushed_at: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a table such as [upstream.\"docker.io\"]"
)]
pub(in super::super) struct RawUpstream {
    endpoints: Option<Spanned<Vec<Spanned<RawEndpoint>>>>,
    hosts: Vec<Field<Host>>,
    auth: Option<Spanned<RawAuth>>,
    platform: Option<Field<PlatformValue>>,
    resolve: Option<Field<Resolve>>,
    repositories: RawRepositories,
    tag_ttl: Option<Field<Interval>>,
    stale_if_error: Option<Field<Interval>>,
    not_found_ttl: Option<Field<Interval>>,
    immutable_tags: Vec<Field<TagPattern>>,
    tag_ttls: Entries<TagPattern, Field<Interval>>,
    serve_deleted_tags: bool,
    connect_timeout: Option<Field<Timeout>>,
    header_timeout: Option<Field<Timeout>>,
    idle_timeout: Option<Field<Timeout>>,
    ca_file: Option<Field<PathBuf>>,
    parallel: Option<Count>,
    virtual_index: Vec<RawVirtualIndex>,
    alias: Vec<RawAlias>,
    private_hosts: Vec<Field<Host>>,
    rate: Option<Field<Rate>>,
    manifest_rate: Option<Field<Rate>>,
    blob_rate: Option<Field<Rate>>,
    burst: Option<Count>,
    patience: Option<Field<Interval>>,
    hedge_after: Option<Field<Timeout>>,
    client_cert_file: Option<Field<PathBuf>>,
    client_key_file: Option<Field<PathBuf>>,
    pushed_at: Option<Spanned<bool>>,
}

impl Entry {
    pub(super) fn with_defaults(pattern: HostPattern) -> Entry {
        Entry::resolve(pattern, RawUpstream::default(), &mut Problems::default()).0
    }

    /// The entry, and the virtual hosts the table claims.
    pub(super) fn resolve(
        pattern: HostPattern,
        mut raw: RawUpstream,
        problems: &mut Problems,
    ) -> (Entry, Vec<Field<Host>>) {
        let (limits, client_certificate) = (raw.limits(), raw.client_certificate(problems));
        let (auth, pushed_at) = raw.auth(&pattern, problems);
        let platform = raw
            .platform
            .and_then(|field| field.take("platform", problems));
        let has_secrets = !auth.is_nobody(&pattern);
        let entry = Entry {
            pattern,
            endpoints: raw.endpoints.map_or_else(Endpoints::default, |list| {
                Endpoints::resolve(list, has_secrets, problems)
            }),
            auth,
            pushed_at,
            platform: platform.map(|PlatformValue(platform)| platform),
            resolve: or(raw.resolve, "resolve", Resolve::Explicit, problems),
            repositories: raw.repositories.resolve(problems),
            tag_ttl: or(raw.tag_ttl, "tag_ttl", DEFAULT_TAG_TTL, problems),
            stale_if_error: or(
                raw.stale_if_error,
                "stale_if_error",
                DEFAULT_STALE_IF_ERROR,
                problems,
            ),
            not_found_ttl: or(
                raw.not_found_ttl,
                "not_found_ttl",
                DEFAULT_NOT_FOUND_TTL,
                problems,
            ),
            immutable_tags: list(raw.immutable_tags, "immutable_tags", problems),
            tag_ttls: tag_ttls(raw.tag_ttls, problems),
            serve_deleted_tags: raw.serve_deleted_tags,
            connect_timeout: or(
                raw.connect_timeout,
                "connect_timeout",
                DEFAULT_CONNECT_TIMEOUT,
                problems,
            ),
            header_timeout: or(
                raw.header_timeout,
                "header_timeout",
                DEFAULT_HEADER_TIMEOUT,
                problems,
            ),
            idle_timeout: or(
                raw.idle_timeout,
                "idle_timeout",
                DEFAULT_IDLE_TIMEOUT,
                problems,
            ),
            ca_file: raw
                .ca_file
                .and_then(|field| authorities::resolve(field, problems)),
            private_hosts: list(raw.private_hosts, "private_hosts", problems),
            limits: limits.resolve(problems),
            client_certificate,
            parallel: parallel(raw.parallel, problems),
            rules: Rules::resolve(raw.virtual_index, raw.alias, problems),
        };
        (entry, raw.hosts)
    }

    /// The table for one host of those its key means; `None` when its `auth` has no meaning for that host.
    pub(super) fn for_host(&self, host: &Host) -> Option<UpstreamConfig> {
        let auth = self.auth.for_host(host)?;
        Some(UpstreamConfig {
            pattern: self.pattern.clone(),
            endpoints: self.endpoints.for_host(host, &auth),
            platform: self.platform.clone(),
            resolve: self.resolve,
            repositories: self.repositories.clone(),
            tag_ttl: self.tag_ttl.0,
            stale_if_error: self.stale_if_error.0,
            not_found_ttl: self.not_found_ttl.0,
            immutable_tags: self.immutable_tags.clone(),
            tag_ttls: self.tag_ttls.clone(),
            serve_deleted_tags: self.serve_deleted_tags,
            connect_timeout: self.connect_timeout.0,
            header_timeout: self.header_timeout.0,
            idle_timeout: self.idle_timeout.0,
            ca_file: self.ca_file.clone(),
            parallel: self.parallel,
            rules: self.rules.clone(),
            private_hosts: self.private_hosts.clone(),
            limits: self.limits.clone(),
            client_certificate: self.client_certificate.clone(),
            pushed_at: self.pushed_at,
        })
    }

    pub(super) fn print(&self, virtual_hosts: &[&Host], page: &mut Page) {
        page.header(&format!("[upstream.{}]", quoted(self.pattern.as_str())));
        self.endpoints.print(self.pattern.exact(), page);
        match self.auth.toml() {
            Some(auth) => page.raw("auth", auth),
            None => {
                page.comment("auth: by the name of the host, \"ecr\" for ECR, else \"anonymous\"");
            }
        }
        page.raw("pushed_at", self.pushed_at);
        page.list("hosts", virtual_hosts);
        if let Some(platform) = &self.platform {
            page.string("platform", &platform.to_string());
        }
        page.string("resolve", self.resolve.word());
        page.duration("tag_ttl", self.tag_ttl.0);
        page.duration("stale_if_error", self.stale_if_error.0);
        page.duration("not_found_ttl", self.not_found_ttl.0);
        page.list("immutable_tags", &self.immutable_tags);
        let ttls = self.tag_ttls.iter();
        page.map(
            "tag_ttls",
            ttls.map(|(pattern, ttl)| (pattern, units::duration(*ttl))),
        );
        page.raw("serve_deleted_tags", self.serve_deleted_tags);
        page.duration("connect_timeout", self.connect_timeout.0);
        page.duration("header_timeout", self.header_timeout.0);
        page.duration("idle_timeout", self.idle_timeout.0);
        if let Some(file) = &self.ca_file {
            page.string("ca_file", &file.to_string_lossy());
        }
        page.raw("parallel", self.parallel);
        page.list("private_hosts", &self.private_hosts);
        self.limits.print(page);
        if let Some(certificate) = &self.client_certificate {
            certificate.print(page);
        }
        self.rules.print(&quoted(self.pattern.as_str()), page);
        self.repositories.print(self.pattern.as_str(), page);
    }
}

impl RawUpstream {
    fn client_certificate(&mut self, problems: &mut Problems) -> Option<ClientCertificate> {
        let (chain, key) = (self.client_cert_file.take(), self.client_key_file.take());
        ClientCertificate::resolve(chain, key, problems)
    }

    fn auth(&mut self, pattern: &HostPattern, problems: &mut Problems) -> (AuthSetting, bool) {
        let auth = self.auth.take();
        let auth = auth.map(|auth| AuthSetting::resolve(auth, pattern, problems));
        let auth = auth.unwrap_or_default();
        let pushed_at = auth.pushed_at(self.pushed_at.take(), pattern, problems);
        (auth, pushed_at)
    }

    fn limits(&mut self) -> RawLimits {
        RawLimits {
            rate: self.rate.take(),
            manifest_rate: self.manifest_rate.take(),
            blob_rate: self.blob_rate.take(),
            burst: self.burst.take(),
            patience: self.patience.take(),
            hedge_after: self.hedge_after.take(),
        }
    }
}

fn parallel(count: Option<Count>, problems: &mut Problems) -> usize {
    count
        .and_then(|count| count.take("parallel", 1..=MOST_PARALLEL, problems))
        .unwrap_or(DEFAULT_PARALLEL)
}

fn list<T: Meaning>(fields: Vec<Field<T>>, key: &str, problems: &mut Problems) -> Vec<T> {
    let fields = fields.into_iter();
    fields
        .filter_map(|field| field.take(key, problems))
        .collect()
}

fn tag_ttls(
    entries: Entries<TagPattern, Field<Interval>>,
    problems: &mut Problems,
) -> Vec<(TagPattern, Duration)> {
    let entries = entries.0.into_iter();
    entries
        .filter_map(|(pattern, ttl)| {
            let pattern = pattern.take("tag_ttls", problems);
            let ttl = ttl.take("tag_ttls", problems);
            pattern.zip(ttl.map(|Interval(ttl)| ttl))
        })
        .collect()
}
