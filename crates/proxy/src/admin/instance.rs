//! `GET /_archway/v1/instance`: which start of Archway this is; `GET /_archway/v1/probe`: a name that
//! it alone can answer, for a client to pull. Neither changes anything, and neither stores anything.

use std::time::SystemTime;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use serde::Serialize;
use serde_json::json;

use super::Admin;

pub(super) async fn who(State(admin): State<Admin>) -> Response {
    answer(&json!({ "instance": admin.instance.id() }))
}

pub(super) async fn issue(State(admin): State<Admin>) -> Response {
    answer(&admin.instance.issue(SystemTime::now()))
}

fn answer(value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("plain data always serialises");
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
