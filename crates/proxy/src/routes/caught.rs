//! A panic in a route: an error of that request alone, and never the end of its connection, which
//! may carry the requests of many.

use std::{any::Any, future::Future, panic::AssertUnwindSafe};

use axum::response::Response;
use futures_util::FutureExt;
use tracing::error;

use super::error::ApiError;

/// The outcome of a route, or the error that it panicked. What it had locked is open again: the locks
/// of this program know no poison, and its guards undo on their drop. No `async fn`: that would keep
/// room for the route twice, as what it was given and as what it awaits.
pub(super) fn caught(
    route: impl Future<Output = Result<Response, ApiError>>,
) -> impl Future<Output = Result<Response, ApiError>> {
    let outcome = AssertUnwindSafe(route).catch_unwind();
    outcome.map(|outcome| {
        outcome.unwrap_or_else(|panic| {
            let reason = reason(&*panic);
            error!(reason, "a request ended in a panic");
            Err(ApiError::panicked(reason))
        })
    })
}

/// What the panic said.
fn reason(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no reason")
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_500_that_tells_its_reason_to_the_log_alone() {
        let error = caught(async { panic!("slot {} of {}", 5, 4) })
            .await
            .unwrap_err();
        assert_eq!(error.log.as_deref(), Some("panicked: slot 5 of 4"));
        assert!(!error.message.contains("slot"));
        let response = error.into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[tokio::test]
    async fn what_does_not_panic_passes() {
        let response = caught(async { Ok(StatusCode::NOT_MODIFIED.into_response()) })
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    }
}
