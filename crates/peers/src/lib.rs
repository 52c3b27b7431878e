//! The listener for other replicas: the registry's own routes, for who proves to be one.
//!
//! Owns its socket, the proof of each request, and what an answer to a replica carries beside that to
//! a client. Refuses what the answer is: the routes answer as for a client, but ask no further replica.
//! Here nobody has a share: a replica asks for all of its clients.

mod listener;
mod readers;
mod strangers;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{Extension, Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use config::{Access, Listener};
use futures_util::TryStreamExt;
use http::{HeaderValue, header};
use manifest_model::{Algorithm, Digest};
use protocol::headers::{DOCKER_CONTENT_DIGEST, header_string, header_text};
use replicas::{
    ARCHWAY_ASK, ARCHWAY_FROM, ARCHWAY_HELD, ARCHWAY_HOPS, ARCHWAY_INSISTS, ARCHWAY_LEAVING,
    Admitted, HELLO_PATH, PeerRequest, Replicas,
};
use server::exchange::{Arrival, Interface};
use tracing::warn;

use self::{
    readers::{Readers, Seat, Wish},
    strangers::Strangers,
};

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
    readers: Readers,
    strangers: Arc<Strangers>,
}

/// The routes for other replicas, over those for clients.
fn router(replicas: Replicas, routes: Router, strangers: Arc<Strangers>) -> Router {
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
        readers: Readers::default(),
        strangers,
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
    let (kind, method) = (kind(request.uri().path()), request.method().clone());
    let admitted = match replicas.admit(&method, &target, request.headers_mut()) {
        Ok(admitted) => admitted,
        Err(rejected) => {
            replicas.metrics().answered(kind, true);
            if let Some(others) = door.strangers.due(peer) {
                warn!(%peer, reason = %rejected, others, "a request to the listener for replicas comes from none");
            }
            return (StatusCode::FORBIDDEN, format!("{rejected}\n")).into_response();
        }
    };
    if kind == PeerRequest::Hello {
        replicas.metrics().answered(kind, false);
        return proved(replicas, &admitted, hello(replicas));
    }
    // Whoever sends none is no replica of this protocol.
    if !request.headers().contains_key(ARCHWAY_HOPS) {
        replicas.metrics().answered(kind, true);
        let text = "a request of a replica says how often it was passed on\n";
        let refusal = (StatusCode::BAD_REQUEST, text).into_response();
        return proved(replicas, &admitted, refusal);
    }
    serve(&door, &admitted, (kind, peer), request, next).await
}

/// The answer of the routes to a replica; for a blob that enough read already, the name of one of those.
async fn serve(
    door: &Door,
    admitted: &Admitted,
    (kind, peer): (PeerRequest, SocketAddr),
    mut request: Request,
    next: Next,
) -> Response {
    let (replicas, readers) = (&door.replicas, &door.readers);
    let wish = (kind == PeerRequest::Blob).then(|| wish(&request));
    if let Some(other) = wish.as_ref().and_then(|wish| readers.instead(wish)) {
        replicas.metrics().answered(kind, false);
        return proved(replicas, admitted, elsewhere(other));
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
    // Of those who have waited for the same first byte, a few read it here.
    match wish.filter(|_| response.status().is_success()) {
        None => proved(replicas, admitted, response),
        Some(wish) => match readers.seat(wish) {
            Ok(seat) => counted(replicas, seat, proved(replicas, admitted, response)),
            Err(other) => proved(replicas, admitted, elsewhere(other)),
        },
    }
}

/// What a request for a blob wants.
fn wish(request: &Request) -> Wish {
    let (_, blob) = request.uri().path().rsplit_once('/').unwrap_or_default();
    let headers = request.headers();
    let name = headers
        .get(ARCHWAY_FROM)
        .and_then(|name| name.to_str().ok());
    Wish {
        blob: blob.to_owned(),
        name: name.map(str::to_owned),
        insists: headers.contains_key(ARCHWAY_INSISTS),
    }
}

/// The name of a replica that reads the same blob from here.
fn elsewhere(other: String) -> Response {
    let instead = [(ARCHWAY_ASK, header_string(other))];
    (StatusCode::SEE_OTHER, instead).into_response()
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

/// What this replica says of itself. The digest in the head is what makes its proof one of the body.
fn hello(replicas: &Replicas) -> Response {
    let hello = serde_json::to_vec(&replicas.hello()).expect("plain data always serialises");
    let digest = Digest::of(Algorithm::Sha256, &hello);
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
        (DOCKER_CONTENT_DIGEST, header_text(digest)),
    ];
    (headers, hello).into_response()
}

/// The same answer with the proof of its head, which nobody may change from here on: so it has the length
/// that the HTTP library would add.
fn proved(replicas: &Replicas, request: &Admitted, mut response: Response) -> Response {
    let (status, length) = (response.status(), response.body().size_hint().exact());
    if let Some(length) = length.filter(|_| status.is_success()) {
        let headers = response.headers_mut().entry(header::CONTENT_LENGTH);
        headers.or_insert(HeaderValue::from(length));
    }
    replicas.prove(request, status, response.headers_mut());
    response
}

/// The same answer, whose bytes are counted as they go, and which has its seat until its end.
fn counted(replicas: &Replicas, seat: Seat, response: Response) -> Response {
    let metrics = replicas.metrics().clone();
    response.map(|body| {
        let pieces = body.into_data_stream();
        Body::from_stream(pieces.inspect_ok(move |piece| {
            let _until_the_end = &seat;
            metrics.went(piece.len());
        }))
    })
}
