//! Pushing does not go through a pull-through proxy: the answer says where it does go.

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
    let message = format!("this is a read-only proxy; push to {target} itself");
    ApiError::unsupported(
        StatusCode::METHOD_NOT_ALLOWED,
        message,
        Some(json!({ "push_to": target })),
    )
}
