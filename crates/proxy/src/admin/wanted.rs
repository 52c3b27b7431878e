//! `GET /_archway/v1/wanted`: what clients asked for and is not here; with `since=SECONDS`, within that
//! time.

use std::time::Duration;

use axum::{
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use url::form_urlencoded;

use super::Admin;

pub(super) async fn answer(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let since = match since(query.as_deref().unwrap_or_default()) {
        Ok(since) => since,
        Err(mistake) => return (StatusCode::BAD_REQUEST, mistake + "\n").into_response(),
    };
    let list = admin.wanted.list(since).await;
    let body = serde_json::to_vec(&list).expect("plain data always serialises");
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn since(query: &str) -> Result<Option<Duration>, String> {
    let mut since = None;
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "since" => {
                let seconds = value.parse();
                since = Some(Duration::from_secs(
                    seconds.map_err(|_| "since: not a number of seconds")?,
                ));
            }
            _ => return Err(format!("{key}: unknown parameter; use since")),
        }
    }
    Ok(since)
}
