//! `GET /_archway/v1/replicas`: who shares downloads with this replica, as it sees them.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use replicas::ReplicasReport;
use serde::Serialize;

use super::Admin;

/// The answer, as docs/reference/replicas.schema.json has it.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    report: ReplicasReport,
    /// What this replica downloads now.
    fills: Vec<String>,
}

pub(super) async fn answer(State(admin): State<Admin>) -> Response {
    let Some(replicas) = &admin.replicas else {
        let text = "this Archway is alone: its configuration has no [replicas]\n";
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    let fills = admin.pull.running().into_iter();
    let answer = Answer {
        report: replicas.report(),
        fills: fills.map(|digest| digest.to_string()).collect(),
    };
    let body = serde_json::to_vec(&answer).expect("plain data always serialises");
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
