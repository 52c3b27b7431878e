//! The upstreams in use, and how each is.

use std::collections::BTreeMap;

use admin_api::{
    CallRate, Credential, EndpointState, HeldCalls, Time, UpstreamEndpoint, UpstreamState,
    Upstreams,
};
use config::{Auth, UpstreamConfig};
use protocol::host::Host;
use upstream::EndpointStatus;

use crate::{counted::Counted, parts::Parts};

pub(crate) fn gather(parts: &Parts) -> Upstreams {
    let counted = parts.counted();
    let config = parts.pull.upstreams().config();
    let mut by_host: BTreeMap<Host, Vec<EndpointStatus>> = BTreeMap::new();
    for status in parts.pull.upstreams().endpoint_statuses() {
        let endpoints = by_host.entry(status.upstream.clone()).or_default();
        endpoints.push(status);
    }
    let states = by_host.iter().filter_map(|(host, endpoints)| {
        let settings = config.find(host)?;
        Some(state(host, endpoints, &settings, &counted))
    });
    Upstreams {
        upstreams: states.collect(),
        offline: config.offline_patterns().map(ToString::to_string).collect(),
    }
}

fn state(
    host: &Host,
    endpoints: &[EndpointStatus],
    settings: &UpstreamConfig,
    counted: &Counted,
) -> UpstreamState {
    let pattern = settings.pattern.to_string();
    let of_pattern = [("upstream", pattern.as_str())];
    let told = |name| {
        let is_there = counted.has(name, "upstream", &pattern);
        is_there.then(|| counted.sum_where(name, &of_pattern))
    };
    let expires = told("upstream_token_expiry_timestamp_seconds").map(Time::at);
    let configured = settings.endpoints.iter();
    let kinds = configured.map(|endpoint| kind(&endpoint.auth));
    let kinds: Vec<_> = kinds.collect();
    let endpoints_told = endpoints.iter().enumerate().map(|(at, status)| {
        let kind = kinds.get(at).copied().unwrap_or("anonymous");
        endpoint(status, kind, expires)
    });
    let answers = counted.by_two("upstream_answers_total", ["upstream", "answer"]);
    let answers = answers
        .into_iter()
        .filter(|(labels, _)| labels[0] == pattern);
    UpstreamState {
        host: host.to_string(),
        endpoints: endpoints_told.collect(),
        waiting: endpoints.iter().map(|status| status.waiting).sum(),
        rates: rates(settings),
        pulls_left: told("upstream_pulls_remaining"),
        answers: answers
            .map(|([_, answer], count)| (answer, count))
            .collect(),
        received: told("upstream_received_bytes_total"),
        pattern,
    }
}

fn endpoint(status: &EndpointStatus, kind: &str, expires: Option<Time>) -> UpstreamEndpoint {
    let outage = status.outage.as_ref();
    let pause = status.held.iter().map(|pause| pause.left).max();
    let state = match (outage, pause) {
        (Some(_), _) => EndpointState::Down,
        (None, Some(_)) => EndpointState::Throttling,
        (None, None) => EndpointState::Up,
    };
    UpstreamEndpoint {
        url: status.endpoint.clone(),
        state,
        since: outage.map(|outage| outage.since_when().into()),
        until: outage
            .map(upstream::Outage::rest)
            .or(pause)
            .map(Time::after),
        cause: outage.map(|outage| outage.reason.to_string()),
        held: status
            .held
            .iter()
            .map(|pause| HeldCalls {
                calls: pause.kind.to_string(),
                until: Time::after(pause.left),
            })
            .collect(),
        credential: Some(Credential {
            kind: kind.to_owned(),
            tokens: usize::from(expires.is_some()),
            expires,
        }),
    }
}

fn kind(auth: &Auth) -> &'static str {
    match auth {
        Auth::Anonymous => "anonymous",
        Auth::Ecr(_) | Auth::EcrPublic(_) => "ecr",
        Auth::DockerConfig => "docker_config",
        Auth::Password { .. } => "password",
    }
}

fn rates(settings: &UpstreamConfig) -> Vec<CallRate> {
    let limits = &settings.limits;
    let rates = [
        ("all", limits.rate),
        ("manifests", limits.manifest_rate),
        ("blobs", limits.blob_rate),
        ("lists", Some(limits.list_rate)),
    ];
    let set = rates.into_iter().filter_map(|(calls, rate)| {
        let rate = rate?.to_string();
        let calls = calls.to_owned();
        Some(CallRate { calls, rate })
    });
    set.collect()
}
