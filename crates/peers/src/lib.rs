//! The listener for other replicas: the registry's own routes, for who proves to be one.
//!
//! Owns its socket, the proof of each request, and what an answer to a replica carries beside that to
//! a client. Refuses what the answer is: the routes answer as for a client, but ask no further replica.
//! Here nobody has a share: a replica asks for all of its clients.

mod listener;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Extension, Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use config::{Access, Listener};
use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderValue, header};
use protocol::headers::{DOCKER_CONTENT_DIGEST, header_string};
use replicas::{
    ARCHWAY_AGE, ARCHWAY_HELD, ARCHWAY_HOPS, ARCHWAY_LEAVING, ARCHWAY_PROOF, HELLO_PATH,
    PeerRequest, Replicas, proved_facts,
};
use server::exchange::{Arrival, Interface};
use tracing::warn;

pub use self::listener::PeerListener;

/// The extension of a request that another replica has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromReplica {
    /// It is to be answered as a client's.
    Brought,
    /// Only with what is stored, or on its way.
    Held,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
struct PeerAddress(SocketAddr);

/// What each request needs.
#[derive(Clone, Debug)]
struct Door {
    replicas: Replicas,
    /// The settings of a listener that asks nothing of its clients.
    listener: Arc<Listener>,
}

/// The routes for other replicas, over those for clients.
fn router(replicas: Replicas, routes: Router) -> Router {
    let listener = Listener {
        address: replicas.listen(),
        platform: None,
        upstream: None,
        tls: None,
        access: Access::default(),
        proxy_protocol: false,
        platform_paths: false,
    };
    let door = Door {
        replicas,
        listener: Arc::new(listener),
    };
    routes.layer(middleware::from_fn_with_state(door, admit))
}

async fn admit(
    State(door): State<Door>,
    Extension(PeerAddress(peer)): Extension<PeerAddress>,
    mut request: Request,
    next: Next,
) -> Response {
    let replicas = &door.replicas;
    let target = request.uri().path_and_query();
    let target = target.map_or("/", |target| target.as_str()).to_owned();
    let authorization = request.headers_mut().remove(header::AUTHORIZATION);
    let kind = kind(request.uri().path());
    if let Err(rejected) = replicas.check(request.method(), &target, authorization.as_ref()) {
        replicas.metrics().answered(kind, true);
        warn!(%peer, reason = %rejected, "a request to the listener for replicas comes from none");
        return (StatusCode::FORBIDDEN, format!("{rejected}\n")).into_response();
    }
    if kind == PeerRequest::Hello {
        replicas.metrics().answered(kind, false);
        let hello = serde_json::to_vec(&replicas.hello()).expect("plain data always serialises");
        return ([(header::CONTENT_TYPE, "application/json")], hello).into_response();
    }
    // Whoever sends none is no replica of this protocol.
    if !request.headers().contains_key(ARCHWAY_HOPS) {
        replicas.metrics().answered(kind, true);
        let text = "a request of a replica says how often it was passed on\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    let is_leaving = replicas.is_leaving();
    let from = if is_leaving || request.headers().contains_key(ARCHWAY_HELD) {
        FromReplica::Held
    } else {
        FromReplica::Brought
    };
    let arrival = Arrival {
        listener: Arc::clone(&door.listener),
        peer: peer.ip(),
        interface: Interface::Network,
        sendfile: None,
        is_replaying: false,
    };
    request.extensions_mut().insert(arrival);
    request.extensions_mut().insert(from);
    let mut response = next.run(request).await;
    if is_leaving && !response.status().is_success() {
        response = farewell();
    }
    replicas
        .metrics()
        .answered(kind, response.status().is_server_error());
    if let Some(proof) = proof(replicas, authorization.as_ref(), response.headers()) {
        response.headers_mut().insert(ARCHWAY_PROOF, proof);
    }
    if kind == PeerRequest::Blob {
        return counted(replicas, response);
    }
    response
}

fn kind(path: &str) -> PeerRequest {
    if path == HELLO_PATH {
        PeerRequest::Hello
    } else if path.contains("/blobs/") {
        PeerRequest::Blob
    } else {
        PeerRequest::Manifest
    }
}

/// The answer of one that is about to end, to what it does not have.
fn farewell() -> Response {
    let leaving = [(ARCHWAY_LEAVING, HeaderValue::from_static("1"))];
    let text = "this replica is about to end\n";
    (StatusCode::SERVICE_UNAVAILABLE, leaving, text).into_response()
}

/// The proof of an answer that says how old it is: no digest can judge it.
fn proof(
    replicas: &Replicas,
    authorization: Option<&HeaderValue>,
    answer: &HeaderMap,
) -> Option<HeaderValue> {
    let age = answer.get(ARCHWAY_AGE)?.to_str().ok()?;
    let digest = answer.get(DOCKER_CONTENT_DIGEST);
    let digest = digest.and_then(|digest| digest.to_str().ok());
    let facts = proved_facts(digest, age);
    replicas.prove(authorization?, &facts).map(header_string)
}

/// The same answer, whose bytes are counted as they go.
fn counted(replicas: &Replicas, response: Response) -> Response {
    let metrics = replicas.metrics().clone();
    response.map(|body| {
        let pieces = body.into_data_stream();
        Body::from_stream(pieces.inspect_ok(move |piece| metrics.went(piece.len())))
    })
}
