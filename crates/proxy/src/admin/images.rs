//! `GET /_archway/v1/images`: the cached images, per platform.
//!
//! `name=HOST/REPOSITORY:TAG` asks for one image. Without it the answer is a page of all images,
//! chosen by `filter`, `missing=PLATFORM`, `limit` and `after`.

use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use cache::CacheError;
use manifest_model::Reference;
use protocol::{error_chain::ErrorChain, image_name::ImageName};
use pull::repository_key;
use tracing::warn;
use url::form_urlencoded;

use super::{
    Admin,
    answer::{json, mistake, stopping, unreadable},
};
use image_inventory::{Listing, ListingQuery};

/// The query, parsed.
enum ImagesQuery {
    One(ImageName),
    Page(ListingQuery),
}

pub(super) async fn answer(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let query = match ImagesQuery::parse(query.as_deref().unwrap_or_default()) {
        Ok(query) => query,
        Err(message) => return mistake(message),
    };
    write_uses(&admin).await;
    let (push_times, pull) = (admin.push_times.clone(), admin.pull.clone());
    let config = admin.config.current();
    let offline = config.upstreams.offline_patterns();
    let offline = offline.map(ToString::to_string).collect();
    let listing = tokio::task::spawn_blocking(move || query.read(&admin)).await;
    match listing {
        Ok(Ok(mut listing)) => {
            push_times.fill_in(&mut listing).await;
            listing.fill_in_state(pull.upstreams());
            listing.offline = offline;
            json(&listing)
        }
        Ok(Err(error)) => unreadable(&error),
        Err(_) => stopping(),
    }
}

/// So that a pull of a moment ago shows.
pub(super) async fn write_uses(admin: &Admin) {
    if let Err(error) = admin.pull.cache().write_uses().await {
        warn!(error = %ErrorChain(&error), "the last uses could not be written");
    }
}

impl ImagesQuery {
    fn parse(query: &str) -> Result<Self, String> {
        let mut page = ListingQuery::default();
        let mut name = None;
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let wrong = |error: &dyn std::fmt::Display| format!("{key}: {error}");
            match &*key {
                "name" => name = Some(value.parse().map_err(|error| wrong(&error))?),
                "filter" => page.filter = Some(value.into_owned()),
                "missing" => page.missing = Some(value.parse().map_err(|error| wrong(&error))?),
                "after" => page.after = Some(value.into_owned()),
                "limit" => page.limit = Some(value.parse().map_err(|error| wrong(&error))?),
                _ => {
                    return Err(format!(
                        "{key}: unknown parameter; use name, filter, missing, after or limit"
                    ));
                }
            }
        }
        Ok(name.map_or(Self::Page(page), Self::One))
    }

    /// Reads the images from the cache. Blocks.
    fn read(self, admin: &Admin) -> Result<Listing, CacheError> {
        match self {
            Self::Page(query) => query.list(admin.pull.cache()),
            Self::One(image) => of_name(admin, &image),
        }
    }
}

/// The image of that name, if it is stored. Blocks.
pub(super) fn of_name(admin: &Admin, image: &ImageName) -> Result<Listing, CacheError> {
    let cache = admin.pull.cache();
    let (host, image) = admin.config.current().meant(image);
    let repository = repository_key(&host, &image.repository);
    match &image.reference {
        Reference::Tag(tag) => Listing::of_tag(cache, &repository, tag),
        Reference::Digest(digest) => Listing::of_digest(cache, &repository, digest),
    }
}
