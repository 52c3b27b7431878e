//! Health, metrics, the admin API and the console, on a listener of their own.
//!
//! Owns the admin routes and their texts; what they tell is gathered by `window`. Leaves the requests of registry clients to `routes`. An
//! upstream that is down does not make `/readyz` fail: the answer stays 200 and names the endpoint,
//! because a cache is most useful then.

mod answer;
mod console;
mod explain;
mod guard;
mod image;
mod images;
mod instance;
mod nodes;
mod replicas;
mod report;
mod state;
mod stream;
mod wanted;

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use ::replicas::Replicas;
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use cluster::NodeList;
use control::LiveConfig;
use http::{HeaderMap, header};
use probe::Instance;
use pull::Pull;
use window::Window;

use crate::{
    push_times::PushTimes,
    routes::Service,
    telemetry::metrics::{Metrics, MetricsFormat},
    wanted::Wanted,
};

/// The parts the admin routes report on. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    /// True until shutdown begins. An upstream outage does not change it: a cache is most useful
    /// then.
    pub(crate) ready: Arc<AtomicBool>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) pull: Pull,
    pub(crate) push_times: PushTimes,
    pub(crate) wanted: Wanted,
    pub(crate) config: LiveConfig,
    pub(crate) instance: Arc<Instance>,
    pub(crate) nodes: NodeList,
    /// The others, unless this Archway is alone.
    pub(crate) replicas: Option<Replicas>,
    pub(crate) window: Window,
    /// What answers clients, for what one would be answered.
    pub(crate) service: Service,
}

pub(crate) fn router(admin: Admin) -> Router {
    let guarded = middleware::from_fn_with_state(admin.clone(), guard::admit);
    let mut routes = Router::new();
    for (name, answer) in private() {
        routes = routes.route(&format!("{}v1/{name}", guard::PRIVATE), answer);
    }
    let routes = routes
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route(guard::INSTANCE, get(instance::who))
        .route(guard::PROBE, get(instance::issue))
        .with_state(admin);
    let pages = console::router(routes.clone());
    routes.merge(pages).layer(guarded)
}

/// The routes below `/_archway/v1/` that name images. `docs/reference/openapi.json` describes them.
fn private() -> [(&'static str, MethodRouter<Admin>); 18] {
    [
        ("overview", get(state::overview)),
        ("fills", get(state::fills)),
        ("images", get(images::answer)),
        ("images/{*name}", get(image::answer)),
        ("upstreams", get(state::upstreams)),
        ("platforms", get(state::platforms)),
        ("clients", get(state::clients)),
        ("cache", get(state::cache)),
        ("evictions", get(state::evictions)),
        ("explain", get(explain::answer)),
        ("report", get(report::answer)),
        ("events", get(state::events)),
        ("config", get(state::config)),
        ("history", get(state::history)),
        ("stream", get(stream::answer)),
        ("wanted", get(wanted::answer)),
        ("nodes", get(nodes::answer)),
        ("replicas", get(replicas::answer)),
    ]
}

async fn readyz(State(admin): State<Admin>) -> Response {
    if admin.ready.load(Ordering::Relaxed) {
        readiness(&admin.pull).into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response()
    }
}

/// `ready`, and a line for each upstream that is never asked, for each endpoint that is down or
/// rate-limits us, and for a disk that takes no blobs.
fn readiness(pull: &Pull) -> String {
    let mut text = "ready\n".to_owned();
    let configured = pull.upstreams().config();
    if configured.are_offline() {
        text.push_str("every upstream is offline by configuration: served as stored\n");
    } else {
        for pattern in configured.offline_patterns() {
            let _ = writeln!(
                text,
                "{pattern} is offline by configuration: served as stored"
            );
        }
    }
    for status in pull.upstreams().endpoint_statuses() {
        if status.outage.is_some() || !status.held.is_empty() {
            let _ = writeln!(text, "{status}");
        }
    }
    if let Some(full) = pull.full_disk() {
        let _ = writeln!(text, "{full}");
    }
    text
}

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT);
    let format = MetricsFormat::of(accept.and_then(|accept| accept.to_str().ok()));
    admin.pull.observe();
    admin.nodes.observe();
    let kind = [
        (header::CONTENT_TYPE, format.content_type()),
        (header::VARY, "accept"),
    ];
    (kind, admin.metrics.render(format)).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else_is() {
        let description = include_str!("../../../docs/reference/openapi.json");
        let description: Value = serde_json::from_str(description).unwrap();
        let described = description["paths"].as_object().unwrap().keys();
        let described: BTreeSet<_> = described.map(|path| path.replace('{', "{*")).collect();
        let open = [
            "/livez",
            "/readyz",
            "/metrics",
            guard::INSTANCE,
            guard::PROBE,
        ];
        let private = private().map(|(name, _)| format!("{}v1/{name}", guard::PRIVATE));
        let routes: BTreeSet<_> = private.into_iter().chain(open.map(str::to_owned)).collect();
        assert_eq!(described, routes);
    }
}
