//! `GET /_archway/v1/images`: what is cached, per platform.
//!
//! `name=HOST/REPOSITORY:TAG` asks about one; without it all are listed: `filter`, `missing=PLATFORM`, `limit`, `after`.

use axum::{
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use cache::CacheError;
use manifest_model::Reference;
use protocol::error_chain::ErrorChain;
use protocol::image_name::ImageName;
use url::form_urlencoded;

use super::Admin;
use crate::inventory::{Listing, Request};

/// What the query asks for.
enum Question {
    One(ImageName),
    Page(Request),
}

pub(super) async fn answer(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let question = match Question::parse(query.as_deref().unwrap_or_default()) {
        Ok(question) => question,
        Err(mistake) => return (StatusCode::BAD_REQUEST, mistake + "\n").into_response(),
    };
    // So that what was pulled a moment ago shows.
    if let Err(error) = admin.pull.cache().write_down().await {
        tracing::warn!(error = %ErrorChain(&error), "the last uses could not be written");
    }
    let push_times = admin.push_times.clone();
    let looked = tokio::task::spawn_blocking(move || question.look(&admin)).await;
    match looked {
        Ok(Ok(mut listing)) => {
            push_times.fill_in(&mut listing).await;
            let body = serde_json::to_vec(&listing).expect("plain data always serialises");
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Ok(Err(error)) => {
            tracing::error!(error = %ErrorChain(&error), "the images cannot be listed");
            (StatusCode::INTERNAL_SERVER_ERROR, "the cache failed\n").into_response()
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response(),
    }
}

impl Question {
    fn parse(query: &str) -> Result<Self, String> {
        let mut page = Request::default();
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
                        "{key}: unknown; there is name, filter, missing, after and limit"
                    ));
                }
            }
        }
        Ok(name.map_or(Self::Page(page), Self::One))
    }

    /// Blocks.
    fn look(self, admin: &Admin) -> Result<Listing, CacheError> {
        let cache = admin.pull.cache();
        match self {
            Self::Page(request) => request.list(cache),
            Self::One(image) => {
                let host = image.host.as_ref().unwrap_or(&admin.default_upstream);
                let repository = crate::pull::repository_key(host, &image.repository);
                match &image.reference {
                    Reference::Tag(tag) => Listing::of_tag(cache, &repository, tag),
                    Reference::Digest(digest) => Listing::of_digest(cache, &repository, digest),
                }
            }
        }
    }
}
