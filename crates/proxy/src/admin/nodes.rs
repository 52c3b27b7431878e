//! `GET /_archway/v1/nodes`: the nodes of the cluster, and when each one's runtime last asked.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use cluster::NodeReport;
use http::header;

use super::Admin;

pub(super) async fn answer(State(admin): State<Admin>) -> Response {
    let report = NodeReport::of(&admin.nodes);
    let body = serde_json::to_vec(&report).expect("plain data always serialises");
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
