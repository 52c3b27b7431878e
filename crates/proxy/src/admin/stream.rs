//! `GET /_archway/v1/stream`: what changes, as server-sent events of the topics in `topics`.

use std::convert::Infallible;

use admin_api::Topic;
use axum::{
    body::Body,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use http::{StatusCode, header};

use super::{
    Admin,
    answer::{mistake, parameters, value},
};

pub(super) async fn answer(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let topics = match read(query.as_deref()) {
        Ok(topics) => topics,
        Err(message) => return mistake(message),
    };
    let Some(frames) = admin.window.stream(topics) else {
        let message = "as many viewers look on as may; ask for what you want every few seconds\n";
        return (StatusCode::SERVICE_UNAVAILABLE, message).into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let body = Body::from_stream(frames.map(Ok::<_, Infallible>));
    (headers, body).into_response()
}

fn read(query: Option<&str>) -> Result<Vec<Topic>, String> {
    let parameters = parameters(query, &["topics"])?;
    let Some(names) = value(&parameters, "topics") else {
        return Ok(Topic::ALL.to_vec());
    };
    let mut topics = Vec::new();
    for name in names.split(',').map(str::trim) {
        let topic = name.parse::<Topic>();
        let topic = topic.map_err(|error| format!("topics: `{name}`: {error}"))?;
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    Ok(topics)
}
