//! The routes that tell how it is: `overview`, `fills`, `upstreams`, `platforms`, `clients`, `cache`,
//! `evictions`, `events`, `config` and `history`. `window` gathers all of it.

use axum::{
    extract::{RawQuery, State},
    response::Response,
};

use super::{
    Admin,
    answer::{blocking, json, mistake, parameters, unreadable, value},
};

/// The blobs that `evictions` tells of without a `limit`, and with the largest.
const EVICTIONS: usize = 100;
const MAX_EVICTIONS: usize = 1000;

pub(super) async fn overview(State(admin): State<Admin>) -> Response {
    json(&admin.window.overview())
}

pub(super) async fn fills(State(admin): State<Admin>) -> Response {
    json(&admin.window.fills().await)
}

pub(super) async fn upstreams(State(admin): State<Admin>) -> Response {
    json(&admin.window.upstreams())
}

pub(super) async fn platforms(State(admin): State<Admin>) -> Response {
    blocking(move || admin.window.platforms()).await
}

pub(super) async fn clients(State(admin): State<Admin>) -> Response {
    json(&admin.window.clients())
}

pub(super) async fn cache(State(admin): State<Admin>) -> Response {
    json(&admin.window.cache_use())
}

pub(super) async fn evictions(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let limit = match number(query.as_deref(), "limit") {
        Ok(limit) => limit.unwrap_or(EVICTIONS),
        Err(message) => return mistake(message),
    };
    if limit > MAX_EVICTIONS {
        return mistake(format_args!("limit: more than {MAX_EVICTIONS}"));
    }
    match admin.window.evictions(limit).await {
        Ok(evictions) => json(&evictions),
        Err(error) => unreadable(&error),
    }
}

pub(super) async fn events(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    match number(query.as_deref(), "since") {
        Ok(since) => json(&admin.window.events(since.unwrap_or(0) as u64)),
        Err(message) => mistake(message),
    }
}

pub(super) async fn config(State(admin): State<Admin>) -> Response {
    json(&admin.window.configuration())
}

pub(super) async fn history(State(admin): State<Admin>) -> Response {
    json(&admin.window.history())
}

/// The only parameter, a number.
fn number(query: Option<&str>, name: &str) -> Result<Option<usize>, String> {
    let parameters = parameters(query, &[name])?;
    let number = value(&parameters, name).map(str::parse);
    let number = number.transpose();
    number.map_err(|_| format!("{name}: not a whole number"))
}
