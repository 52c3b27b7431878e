//! The meaning of a request: its upstream, its target and its platform.

use std::{net::IpAddr, sync::Arc};

use cluster::{Node, NodeList};
use config::Config;
use http::{HeaderMap, HeaderValue, Method, header, request::Parts};
use manifest_model::{RepoName, user_agent};
use peers::FromReplica;
use percent_encoding::percent_decode_str;
use protocol::{
    forwarded,
    host::Host,
    target::{self, PlatformPaths, Target},
};
use pull::{Asker, Hint, Repository};
use server::exchange::Arrival;

use super::{Service, error::ApiError, query::Query};
use crate::{
    guard::{self, Called},
    hints::{self, Clues},
    telemetry::access::RequestFacts,
};

/// A request whose path, query and headers were valid.
#[derive(Debug)]
pub(super) struct Context {
    /// The configuration in force when the request began.
    pub(super) config: Arc<Config>,
    pub(super) upstream: Host,
    /// The upstream's name as a header value; none for a ping, which is for no upstream.
    pub(super) upstream_header: Option<HeaderValue>,
    /// The client's address: the connection's, or the one a trusted proxy names.
    pub(super) client: IpAddr,
    pub(super) target: Target,
    /// The node of the cluster that asks, if it is a runtime with the address of one.
    pub(super) node: Option<Arc<Node>>,
    /// The platforms that the sources of hints name, the most trusted first.
    pub(super) hints: Vec<Hint>,
    pub(super) query: Query,
    /// Whether the client wants a body: false for a HEAD.
    pub(super) is_read: bool,
    /// The path as the client wrote it.
    pub(super) path: String,
    /// Whether another replica asks, and for what; it is answered by this one alone.
    pub(super) replica: Option<FromReplica>,
}

impl Context {
    /// Reads path, query and headers. An error here is a mistake of the client or its
    /// configuration.
    pub(super) fn of(
        service: &Service,
        arrival: &Arrival,
        request: &Parts,
    ) -> Result<Self, ApiError> {
        let config = service.config.current();
        let called = Called::of(&request.uri, &request.headers);
        let client = forwarded::client(
            arrival.peer,
            &request.headers,
            &config.server.trusted_proxies,
        );
        guard::admit(&config, arrival, request, &called, client)
            .map_err(|refusal| ApiError::refused(&refusal, arrival.listener.address))?;
        let path = request.uri.path().to_owned();
        let query = Query::parse(request.uri.query());
        let namespace = query.namespace.as_deref().map(parse_host).transpose()?;
        let decoded = percent_decode_str(&path)
            .decode_utf8()
            .map_err(|_| ApiError::bad_path("the path is not valid UTF-8"))?;
        let platforms = if arrival.listener.platform_paths {
            PlatformPaths::Hints
        } else {
            PlatformPaths::Names
        };
        let address = target::parse(&decoded, namespace.as_ref(), platforms)?;
        let node = asking_node(&service.nodes, &request.headers, client);
        let hints = hints::hints(&Clues {
            query: &query.platform,
            headers: &request.headers,
            path: address.platform.as_deref(),
            listener: arrival.listener.platform.as_ref(),
            host: called.host(),
            peer: client,
            node: node.as_deref(),
            config: &config.platform,
        })?;
        let upstream = choose_upstream(&config, arrival, namespace, address.host, called.host());
        let upstream_header = match address.target {
            Target::Ping => None,
            _ if arrival.listener.access.allows_upstream(&upstream) => {
                HeaderValue::from_str(upstream.as_str()).ok()
            }
            _ => {
                let listener = arrival.listener.address;
                return Err(ApiError::not_served_here(&upstream, listener));
            }
        };
        Ok(Self {
            config,
            upstream,
            upstream_header,
            client,
            node,
            target: address.target,
            hints,
            query,
            is_read: request.method == Method::GET,
            path,
            replica: request.extensions.get::<FromReplica>().copied(),
        })
    }

    /// The same, with the repository it asks for content of, which the same moment's configuration
    /// judges.
    pub(super) fn with_repository(
        self,
        service: &Service,
    ) -> (Self, Option<Result<Repository, ApiError>>) {
        let repository = match &self.target {
            Target::Manifest(name, _)
            | Target::Blob(name, _)
            | Target::Tags(name)
            | Target::Referrers(name, _) => Some(self.repository(service, name)),
            Target::Ping | Target::Uploads(_) => None,
        };
        (self, repository)
    }

    /// The repository `name` of the request's upstream; an error unless that upstream is
    /// configured and opens it to clients.
    fn repository(&self, service: &Service, name: &RepoName) -> Result<Repository, ApiError> {
        let asker = match self.replica {
            None => Asker::Client(self.client.into()),
            Some(_) => Asker::Replica(self.client.into()),
        };
        let repository = service.pull.repository(&self.upstream, name, asker)?;
        let repository = repository.ok_or_else(|| ApiError::not_configured(&self.upstream))?;
        let upstream = repository.upstream();
        if !upstream.config().allows(repository.name()) {
            return Err(ApiError::not_allowed(upstream, repository.name()));
        }
        Ok(repository)
    }

    /// The hint to follow: the most trusted one.
    pub(super) fn hint(&self) -> Option<&Hint> {
        self.hints.first()
    }

    /// Notes for the access log what the request asks for.
    pub(super) fn describe(&self, facts: &mut RequestFacts) {
        facts.client = Some(self.client);
        if let Some(repository) = self.target.repository() {
            facts.upstream = Some(self.upstream.to_string());
            facts.repository = Some(repository.to_string());
        }
        facts.reference = match &self.target {
            Target::Manifest(_, reference) => Some(reference.to_string()),
            Target::Blob(_, digest) | Target::Referrers(_, digest) => Some(digest.to_string()),
            Target::Ping | Target::Tags(_) | Target::Uploads(_) => None,
        };
        if let Some(hint) = self.hint() {
            facts.platform = Some(hint.wish.to_string());
            facts.platform_source = Some(hint.source);
        }
    }
}

/// The node whose runtime asks. What pods and people pull is for whatever machine they mean.
fn asking_node(nodes: &NodeList, headers: &HeaderMap, client: IpAddr) -> Option<Arc<Node>> {
    if !nodes.is_on() {
        return None;
    }
    let agent = headers.get(header::USER_AGENT)?.to_str().ok()?;
    user_agent::is_runtime(agent).then(|| nodes.asks(client))?
}

/// The first upstream named by: query, path, virtual host, listener, default.
fn choose_upstream(
    config: &Config,
    arrival: &Arrival,
    namespace: Option<Host>,
    path: Option<Host>,
    called: Option<&Host>,
) -> Host {
    let named = namespace.or(path).map(Host::canonical);
    named
        .or_else(|| called.and_then(|host| config.upstreams.by_virtual_host(host)))
        .or_else(|| arrival.listener.upstream.clone())
        .unwrap_or_else(|| config.default_upstream.clone())
}

fn parse_host(text: &str) -> Result<Host, ApiError> {
    text.parse::<Host>().map(Host::canonical).map_err(|error| {
        ApiError::bad_path(&format!("the query's `ns` is not a valid host: {error}"))
    })
}
