//! `GET /_archway/v1/upstreams`: the upstreams in use, and how each is.

use std::time::Duration;

use admin_api::{
    CallBudget, EndpointState, HeldCalls, Time, UpstreamEndpoint, UpstreamState, Upstreams,
};
use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use pull::Pull;
use tokio::time::Instant;
use upstream::{Announced, EndpointStatus};

use super::Admin;

pub(super) async fn answer(State(admin): State<Admin>) -> Response {
    let body = serde_json::to_vec(&upstreams(&admin.pull)).expect("plain data always serialises");
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn upstreams(pull: &Pull) -> Upstreams {
    let registry = pull.upstreams();
    let mut upstreams: Vec<UpstreamState> = Vec::new();
    for status in registry.endpoint_statuses() {
        let host = status.upstream.to_string();
        if upstreams.last().is_none_or(|last| last.host != host) {
            let announced = registry.announced(&status.pattern);
            upstreams.push(state(host, &status, announced));
        }
        if let Some(last) = upstreams.last_mut() {
            last.endpoints.push(endpoint(&status));
        }
    }
    let config = registry.config();
    let offline = config.offline_patterns().map(ToString::to_string);
    Upstreams {
        upstreams,
        offline: offline.collect(),
    }
}

/// An upstream without its endpoints, as its first one shows it.
fn state(host: String, first: &EndpointStatus, announced: Announced) -> UpstreamState {
    let budget = first.permits.iter().map(|(calls, left)| CallBudget {
        calls: (*calls).to_owned(),
        left: *left,
    });
    UpstreamState {
        host,
        pattern: first.pattern.to_string(),
        endpoints: Vec::new(),
        waiting: first.waiting,
        budget: budget.collect(),
        pulls_left: announced.pulls_left,
        pulls_limit: announced.pulls_limit,
        token_expires: announced.token_expires.map(Into::into),
    }
}

fn endpoint(status: &EndpointStatus) -> UpstreamEndpoint {
    let outage = status.outage.as_ref();
    let held = status.held.iter().map(|pause| HeldCalls {
        calls: pause.kind.to_string(),
        until: Time::after(pause.left + Duration::from_secs(1)),
    });
    let now = Instant::now();
    UpstreamEndpoint {
        url: status.endpoint.clone(),
        state: match outage {
            Some(_) => EndpointState::Down,
            None if status.held.is_empty() => EndpointState::Up,
            None => EndpointState::Throttling,
        },
        since: outage.map(|outage| Time::before(now.saturating_duration_since(outage.since))),
        until: outage.map(|outage| Time::after(outage.until.saturating_duration_since(now))),
        cause: outage.map(|outage| outage.reason.to_string()),
        held: held.collect(),
    }
}
