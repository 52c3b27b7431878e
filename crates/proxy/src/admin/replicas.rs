//! `GET /_archway/v1/replicas`: who shares downloads with this replica, as it sees them.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{Admin, answer::json};

pub(super) async fn answer(State(admin): State<Admin>) -> Response {
    let Some(replicas) = &admin.replicas else {
        let text = "this Archway is alone: its configuration has no [replicas]\n";
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    let report = replicas.report(admin.pull.running());
    json(&report)
}
