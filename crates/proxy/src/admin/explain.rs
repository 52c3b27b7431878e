//! `GET /_archway/v1/explain`: what a client would get for `name`, and why. `header=NAME: VALUE`, as
//! often as needed, is what it would send, `address=IP` where it would come from.

use std::net::{IpAddr, Ipv4Addr};

use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode};
use protocol::error_chain::ErrorChain;

use super::{
    Admin,
    answer::{json, mistake, parameters, stopping, value},
};
use crate::routes::{Supposed, foretell};

pub(super) async fn answer(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let supposed = match read(query.as_deref()) {
        Ok(supposed) => supposed,
        Err(message) => return mistake(message),
    };
    let told = tokio::task::spawn_blocking(move || foretell(&admin.service, supposed));
    match told.await {
        Ok(Ok(told)) => json(&told),
        Ok(Err(error)) => (StatusCode::NOT_FOUND, format!("{error}\n")).into_response(),
        Err(_) => stopping(),
    }
}

fn read(query: Option<&str>) -> Result<Supposed, String> {
    let parameters = parameters(query, &["name", "header", "address"])?;
    let name = value(&parameters, "name").ok_or("name: which image?")?;
    let image = name.parse();
    let image = image.map_err(|error| format!("name: {}", ErrorChain(&error)))?;
    let headers = parameters.iter().filter(|(key, _)| key == "header");
    let headers = headers.map(|(_, line)| header(line));
    let address = value(&parameters, "address").map(str::parse::<IpAddr>);
    let address = address
        .transpose()
        .map_err(|_| "address: not an IP address")?;
    Ok(Supposed {
        image,
        headers: headers.collect::<Result<_, _>>()?,
        address: address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    })
}

fn header(line: &str) -> Result<(HeaderName, HeaderValue), String> {
    let pair = line.split_once(':').and_then(|(name, value)| {
        let name = name.trim().parse().ok()?;
        let value = HeaderValue::from_str(value.trim()).ok()?;
        Some((name, value))
    });
    pair.ok_or_else(|| format!("header: `{line}` is not NAME: VALUE"))
}
