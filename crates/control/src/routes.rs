//! The routes that change something, for whoever may open the socket.

use std::{convert::Infallible, error::Error, future::ready};

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::{StreamExt as _, stream};
use protocol::error_chain::ErrorChain;
use pull::PullError;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tracing::warn;
use upstream::FetchError;

use crate::{
    Control, ImportBundles, ImportLine, NextInSeries, ReloadError, RemoveBundles,
    descriptors::Handed,
    exports, imports, kept,
    refresh::{RefreshError, refresh},
    removal::{RemoveError, remove},
};

/// `POST`: removes the names of a [`RemoveNames`]; the answer is a list of
/// [`RemovedName`](crate::RemovedName).
pub const REMOVE: &str = "/_archway/v1/rm";

/// `POST`: asks the upstream for the image that the body names; the answer is a
/// [`Refreshed`](crate::Refreshed).
pub const REFRESH: &str = "/_archway/v1/refresh";

/// `POST`: reads the configuration again; the answer is a [`Reloaded`](crate::Reloaded). One that is
/// not valid is refused with 422 and all its mistakes.
pub const RELOAD: &str = "/_archway/v1/reload";

/// `POST`: takes the bundles of an [`ImportBundles`], whose files were handed over with the request; the
/// answer has an [`ImportLine`] on each line.
pub const IMPORT: &str = "/_archway/v1/bundles/import";

/// `GET`: a list of the bundles that are here.
pub const BUNDLES: &str = "/_archway/v1/bundles";

/// `POST`: removes those of a [`RemoveBundles`]; the answer is a [`Purged`](crate::Purged).
pub const REMOVE_BUNDLES: &str = "/_archway/v1/bundles/rm";

/// `GET`: what the index says, as an [`IndexCopy`](cache::inspect::IndexCopy), for an export that reads
/// the files itself.
pub const CONTENTS: &str = "/_archway/v1/bundles/contents";

/// `POST`: keeps a list of digests from eviction until the client closes the connection. The answer
/// begins with a line when they are held, and then waits.
pub const HOLD: &str = "/_archway/v1/bundles/hold";

/// `POST`: the number of the next bundle of a [`NextInSeries`].
pub const SERIES: &str = "/_archway/v1/bundles/series";

/// The longest body of a request: some thousand names.
const MAX_BODY: usize = 1 << 20;

/// What is said of a body beyond it.
const TOO_MANY: &str = "too many names at once: a request takes 1 MiB of them; ask in several";

/// What is said of too long a list of digests.
const TOO_MANY_HELD: &str = "too many blobs for one bundle: export the images in several";

/// The body of a request to [`REMOVE`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveNames {
    /// Digests and images.
    pub names: Vec<String>,
}

/// The routes that change `control`, for a socket of mode 0600 alone.
pub fn routes(control: Control) -> Router {
    Router::new()
        .route(REMOVE, post(answer_remove))
        .route(REFRESH, post(answer_refresh))
        .route(RELOAD, post(answer_reload))
        .route(IMPORT, post(answer_import))
        .route(BUNDLES, get(answer_bundles))
        .route(REMOVE_BUNDLES, post(answer_remove_bundles))
        .route(CONTENTS, get(answer_contents))
        .route(HOLD, post(answer_hold))
        .route(SERIES, post(answer_series))
        .with_state(control)
}

async fn answer_remove(State(control): State<Control>, body: Body) -> Response {
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, &TOO_MANY);
    };
    let asked: RemoveNames = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error),
    };
    let _one = control.turns.removing.lock().await;
    match remove(&control, &asked.names).await {
        Ok(removed) => answered(&removed),
        Err(error @ RemoveError::Name(_)) => failed(StatusCode::BAD_REQUEST, &error),
        Err(error @ RemoveError::Cache(_)) => {
            warn!(error = %ErrorChain(&error), "stored content could not be removed");
            failed(StatusCode::INTERNAL_SERVER_ERROR, &error)
        }
    }
}

async fn answer_refresh(State(control): State<Control>, body: Body) -> Response {
    let body = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    let name = String::from_utf8_lossy(&body);
    match refresh(&control, name.trim()).await {
        Ok(refreshed) => answered(&refreshed),
        Err(error) => failed(status(&error), &error),
    }
}

async fn answer_reload(State(control): State<Control>) -> Response {
    match control.reloads.reload().await {
        Ok(reloaded) => answered(&reloaded),
        Err(error) => {
            let status = match error {
                ReloadError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
                ReloadError::Impossible(_) => StatusCode::CONFLICT,
                ReloadError::Ending => StatusCode::SERVICE_UNAVAILABLE,
            };
            refused(status, &error)
        }
    }
}

async fn answer_import(
    State(control): State<Control>,
    Extension(handed): Extension<Handed>,
    body: Body,
) -> Response {
    let files = handed.take();
    let body = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    let asked: ImportBundles = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error),
    };
    let (sender, lines) = mpsc::unbounded_channel();
    let lines = stream::unfold(lines, |mut lines| async {
        let line: ImportLine = lines.recv().await?;
        let mut text = serde_json::to_vec(&line).expect("plain data always serialises");
        text.push(b'\n');
        Some((Ok::<_, Infallible>(text), lines))
    });
    // The body is the work: it stops when its reader leaves.
    let work = imports::import(control, asked, files, sender);
    let work = stream::once(work).filter_map(|()| ready(None));
    let body = Body::from_stream(stream::select(lines, work));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

async fn answer_bundles(State(control): State<Control>) -> Response {
    match kept::list(&control).await {
        Ok(bundles) => answered(&bundles),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

async fn answer_remove_bundles(State(control): State<Control>, body: Body) -> Response {
    let body = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    let asked: RemoveBundles = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error),
    };
    let _one = control.turns.removing.lock().await;
    match kept::remove(&control, asked).await {
        Ok(purged) => answered(&purged),
        Err(error) => {
            warn!(error = %ErrorChain(&error), "stored content could not be removed");
            failed(StatusCode::INTERNAL_SERVER_ERROR, &error)
        }
    }
}

async fn answer_contents(State(control): State<Control>) -> Response {
    match control.pull.cache().index_copy().await {
        Ok(copy) => answered(&copy),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

async fn answer_hold(State(control): State<Control>, body: Body) -> Response {
    let Ok(body) = to_bytes(body, exports::MAX_HELD).await else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, &TOO_MANY_HELD);
    };
    match serde_json::from_slice(&body) {
        Ok(digests) => Body::from_stream(exports::held(&control, digests)).into_response(),
        Err(error) => refused(StatusCode::BAD_REQUEST, &error),
    }
}

async fn answer_series(State(control): State<Control>, body: Body) -> Response {
    let body = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    let NextInSeries { series, least } = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error),
    };
    match control.pull.cache().next_in_series(series, least).await {
        Ok(number) => answered(&number),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

fn status(error: &RefreshError) -> StatusCode {
    match error {
        RefreshError::Name(_) | RefreshError::Digest => StatusCode::BAD_REQUEST,
        RefreshError::NotConfigured(_) | RefreshError::NotAllowed(_) => StatusCode::NOT_FOUND,
        RefreshError::Pull(PullError::NotHere { .. }) => StatusCode::CONFLICT,
        RefreshError::Pull(error) => match error.fetch_error() {
            Some(FetchError::NotFound { .. }) => StatusCode::NOT_FOUND,
            Some(FetchError::Offline { .. }) => StatusCode::CONFLICT,
            _ => StatusCode::BAD_GATEWAY,
        },
    }
}

fn answered(value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("plain data always serialises");
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// The whole chain: whoever may ask here may know it.
fn failed(status: StatusCode, error: &(dyn Error + 'static)) -> Response {
    refused(status, &ErrorChain(error))
}

fn refused(status: StatusCode, message: &dyn std::fmt::Display) -> Response {
    (status, format!("{message}\n")).into_response()
}
