//! `GET /_archway/v1/instance`: which start of Archway this is; `GET /_archway/v1/probe`: a name that
//! it alone can answer, for a client to pull. Neither changes anything, and neither stores anything.

use std::time::SystemTime;

use axum::{extract::State, response::Response};
use serde_json::json;

use super::{Admin, answer};

pub(super) async fn who(State(admin): State<Admin>) -> Response {
    answer::json(&json!({ "instance": admin.instance.id() }))
}

pub(super) async fn issue(State(admin): State<Admin>) -> Response {
    answer::json(&admin.instance.issue(SystemTime::now()))
}
