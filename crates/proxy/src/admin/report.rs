//! `GET /_archway/v1/report`: which images do not exist for the platforms of `need`, a page at a time.

use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use manifest_model::Platform;

use super::{
    Admin,
    answer::{blocking, mistake, parameters, value},
};
use image_inventory::{ListingQuery, report};

pub(super) async fn answer(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let (need, listed) = match read(query.as_deref()) {
        Ok(read) => read,
        Err(message) => return mistake(message),
    };
    blocking(move || {
        let listing = listed.list(admin.pull.cache())?;
        let mut judged = report(&need, &listing.images);
        judged.next = listing.next;
        Ok(judged)
    })
    .await
}

fn read(query: Option<&str>) -> Result<(Vec<Platform>, ListingQuery), String> {
    let parameters = parameters(query, &["need", "filter", "after", "limit"])?;
    let text = |name| value(&parameters, name).filter(|value| !value.is_empty());
    let need = text("need").ok_or("need: which platforms? For example need=linux/arm64")?;
    let need = need.split(',').map(|one| one.trim().parse::<Platform>());
    let need = need.collect::<Result<_, _>>();
    let limit = text("limit").map(str::parse).transpose();
    let listed = ListingQuery {
        filter: text("filter").map(str::to_owned),
        missing: None,
        after: text("after").map(str::to_owned),
        limit: limit.map_err(|_| "limit: not a whole number")?,
    };
    Ok((need.map_err(|error| format!("need: {error}"))?, listed))
}
