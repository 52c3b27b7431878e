//! The answer to a push: where to push instead, since a pull-through proxy takes none.

use http::StatusCode;
use serde_json::json;

use super::{context::Context, error::ApiError};

pub(super) fn refusal(context: &Context) -> ApiError {
    let name = context
        .target
        .repository()
        .map(|name| format!("/{name}"))
        .unwrap_or_default();
    let target = format!("{}{name}", context.upstream);
    let message = format!("push to {target} directly; this proxy is read-only");
    ApiError::unsupported(
        StatusCode::METHOD_NOT_ALLOWED,
        message,
        Some(json!({ "push_to": target })),
    )
}
