//! `GET /_archway/v1/nodes`: the nodes of the cluster, and when each one's runtime last asked.

use axum::{extract::State, response::Response};
use cluster::NodeReport;

use super::{Admin, answer::json};

pub(super) async fn answer(State(admin): State<Admin>) -> Response {
    let report = NodeReport::of(&admin.nodes);
    json(&report)
}
