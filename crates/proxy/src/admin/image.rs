//! `GET /_archway/v1/images/NAME`: one image, with all that it consists of.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use protocol::{error_chain::ErrorChain, image_name::ImageName};

use super::{
    Admin,
    answer::{json, mistake, stopping, unreadable},
    images,
};
use image_inventory::detail;

pub(super) async fn answer(State(admin): State<Admin>, Path(name): Path<String>) -> Response {
    let name: ImageName = match name.parse() {
        Ok(name) => name,
        Err(error) => return mistake(ErrorChain(&error)),
    };
    images::write_uses(&admin).await;
    let cache = admin.pull.cache().clone();
    let look = admin.clone();
    let listed = tokio::task::spawn_blocking(move || images::of_name(&look, &name));
    let mut listing = match listed.await {
        Ok(Ok(listing)) => listing,
        Ok(Err(error)) => return unreadable(&error),
        Err(_) => return stopping(),
    };
    admin.push_times.fill_in(&mut listing).await;
    listing.fill_in_state(admin.pull.upstreams());
    let Some(image) = listing.images.into_iter().next() else {
        return (StatusCode::NOT_FOUND, "no such image is stored\n").into_response();
    };
    match tokio::task::spawn_blocking(move || detail(&cache, image)).await {
        Ok(Ok(detail)) => json(&detail),
        Ok(Err(error)) => unreadable(&error),
        Err(_) => stopping(),
    }
}
