//! `GET /_archway/v1/fills`: the downloads that run, and the last that ended.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use super::Admin;

pub(super) async fn answer(State(admin): State<Admin>) -> Response {
    let fills = admin.pull.fills();
    let body = serde_json::to_vec(&fills).expect("plain data always serialises");
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
