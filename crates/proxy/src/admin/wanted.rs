//! `GET /_archway/v1/wanted`: what clients asked for and is not here; with `since=SECONDS`, within that
//! time.

use std::time::Duration;

use axum::{
    extract::{RawQuery, State},
    response::Response,
};

use super::{
    Admin,
    answer::{json, mistake, parameters, value},
};

pub(super) async fn answer(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let since = match since(query.as_deref()) {
        Ok(since) => since,
        Err(message) => return mistake(message),
    };
    json(&admin.wanted.list(since).await)
}

fn since(query: Option<&str>) -> Result<Option<Duration>, String> {
    let parameters = parameters(query, &["since"])?;
    let seconds = value(&parameters, "since").map(str::parse::<u64>);
    let seconds = seconds.transpose();
    let seconds = seconds.map_err(|_| "since: not a number of seconds")?;
    Ok(seconds.map(Duration::from_secs))
}
