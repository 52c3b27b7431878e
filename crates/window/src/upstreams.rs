//! The upstreams in use, and how each is.

use std::{collections::BTreeMap, time::Duration};

use admin_api::{
    CallBudget, CallRate, EndpointState, HeldCalls, Time, UpstreamEndpoint, UpstreamState,
    Upstreams,
};
use config::{Auth, UpstreamConfig};
use protocol::host::Host;
use upstream::{EndpointStatus, Outage};

use crate::{counted::Counted, parts::Parts};

pub(crate) fn gather(parts: &Parts) -> Upstreams {
    let counted = parts.counted();
    let registry = parts.pull.upstreams();
    let config = registry.config();
    let mut by_host: BTreeMap<Host, Vec<EndpointStatus>> = BTreeMap::new();
    for status in registry.endpoint_statuses() {
        let endpoints = by_host.entry(status.upstream.clone()).or_default();
        endpoints.push(status);
    }
    let states = by_host.iter().filter_map(|(host, endpoints)| {
        // A reload may just have taken it away.
        let settings = config.find(host)?;
        let mut state = state(host, endpoints, &settings, &counted);
        let announced = registry.announced(&settings.pattern);
        state.pulls_left = announced.pulls_left;
        state.pulls_limit = announced.pulls_limit;
        state.token_expires = announced.token_expires.map(Into::into);
        Some(state)
    });
    Upstreams {
        upstreams: states.collect(),
        offline: config.offline_patterns().map(ToString::to_string).collect(),
    }
}

/// An upstream without what it announced.
fn state(
    host: &Host,
    endpoints: &[EndpointStatus],
    settings: &UpstreamConfig,
    counted: &Counted,
) -> UpstreamState {
    let pattern = settings.pattern.to_string();
    let of_pattern = [("upstream", pattern.as_str())];
    let received = "upstream_received_bytes_total";
    let is_counted = counted.has(received, "upstream", &pattern);
    let received = is_counted.then(|| counted.sum_where(received, &of_pattern));
    let answers = counted.by_two("upstream_answers_total", ["upstream", "answer"]);
    let answers = answers.into_iter();
    let answers = answers.filter(|(labels, _)| labels[0] == pattern);
    let told = endpoints.iter().enumerate().map(|(at, status)| {
        let configured = settings.endpoints.get(at);
        endpoint(status, configured.map_or("", |one| kind(&one.auth)))
    });
    // All endpoints of an upstream share its queue and its rates.
    let first = endpoints.first();
    let budget = first.into_iter().flat_map(|first| &first.permits);
    UpstreamState {
        host: host.to_string(),
        endpoints: told.collect(),
        waiting: first.map_or(0, |first| first.waiting),
        rates: rates(settings),
        budget: budget
            .map(|(calls, left)| CallBudget {
                calls: (*calls).to_owned(),
                left: *left,
            })
            .collect(),
        pulls_left: None,
        pulls_limit: None,
        token_expires: None,
        answers: answers
            .map(|([_, answer], count)| (answer, count))
            .collect(),
        received,
        pattern,
    }
}

fn endpoint(status: &EndpointStatus, credential: &str) -> UpstreamEndpoint {
    let outage = status.outage.as_ref();
    let held = status.held.iter().map(|pause| HeldCalls {
        calls: pause.kind.to_string(),
        until: Time::after(pause.left + Duration::from_secs(1)),
    });
    UpstreamEndpoint {
        url: status.endpoint.clone(),
        state: match outage {
            Some(_) => EndpointState::Down,
            None if status.held.is_empty() => EndpointState::Up,
            None => EndpointState::Throttling,
        },
        since: outage.map(|outage| outage.since_when().into()),
        until: outage.map(Outage::rest).map(Time::after),
        cause: outage.map(|outage| outage.reason.to_string()),
        held: held.collect(),
        credential: credential.to_owned(),
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
