//! `tags/list`, page by page, with the absolute `Link` of a real registry.

use http::{Response, StatusCode, header};
use serde_json::json;

use super::log::{Entry, query_of};
use super::serve::insert;
use super::{Shared, TagsLast, error_response};
use crate::server::{Body, full};

const OPAQUE: &str = "opaque+token/";
const CURSOR: &str = "gAAA==";

pub(super) fn list(shared: &Shared, entry: &Entry, host: &str, repository: &str) -> Response<Body> {
    let content = shared.content.lock().expect("no panic under it");
    let Some(tags) = content.tags(repository) else {
        return error_response(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "not here");
    };
    let quirks = shared.quirks_now();
    let query = query_of(entry.query());
    let one = |key: &str| {
        let found = query.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    };
    let cursor = one("next_page").and_then(|cursor| cursor.strip_prefix(CURSOR));
    let last = cursor.or(one("last").map(|last| last.strip_prefix(OPAQUE).unwrap_or(last)));
    let asked = one("n").and_then(|n| n.parse::<usize>().ok());
    let most = match (asked, quirks.tags_page) {
        (Some(asked), Some(page)) => asked.min(page),
        (asked, page) => asked.or(page).unwrap_or(usize::MAX),
    };
    let mut rest: Vec<String> = tags;
    rest.retain(|tag| last.is_none_or(|last| tag.as_str() > last));
    let page: Vec<String> = rest.iter().take(most).cloned().collect();
    let body = json!({ "name": repository, "tags": page });
    let mut response = Response::new(full(body.to_string()));
    insert(&mut response, header::CONTENT_TYPE, "application/json");
    if let Some(end) = page.last().filter(|_| page.len() < rest.len()) {
        let next = match quirks.tags_last {
            TagsLast::Tag => format!("last={end}"),
            TagsLast::Opaque => format!("last={OPAQUE}{end}")
                .replace('+', "%2B")
                .replace('/', "%2F"),
            TagsLast::Cursor => format!("next_page={}{end}", CURSOR.replace('=', "%3D")),
        };
        let n = asked.map_or_else(String::new, |n| format!("&n={n}"));
        let link = format!("<http://{host}/v2/{repository}/tags/list?{next}{n}>; rel=\"next\"");
        insert(&mut response, header::LINK, &link);
    }
    response
}
