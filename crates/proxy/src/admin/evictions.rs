//! `GET /_archway/v1/evictions`: how full the cache is, and what leaves it next; with `limit=NUMBER`
//! so many blobs at most, and none of them with 0.

use admin_api::{CacheTotals, EvictionClass, Evictions, NextToGo};
use axum::{
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use cache::{Cache, CacheError, Class, NextRow};
use protocol::error_chain::ErrorChain;
use tracing::error;
use url::form_urlencoded;

use super::Admin;

/// How many blobs are listed unless the query says otherwise.
const DEFAULT_LIMIT: usize = 100;

/// How many are listed at most.
const MAX_LIMIT: usize = 1000;

pub(super) async fn answer(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let limit = match limit(query.as_deref().unwrap_or_default()) {
        Ok(limit) => limit,
        Err(mistake) => return (StatusCode::BAD_REQUEST, mistake + "\n").into_response(),
    };
    match evictions(admin.pull.cache(), limit).await {
        Ok(evictions) => {
            let body = serde_json::to_vec(&evictions).expect("plain data always serialises");
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(error) => {
            error!(error = %ErrorChain(&error), "the order of eviction could not be read");
            let message = "the cache could not be read; the log has the cause\n";
            (StatusCode::INTERNAL_SERVER_ERROR, message).into_response()
        }
    }
}

fn limit(query: &str) -> Result<usize, String> {
    let mut limit = DEFAULT_LIMIT;
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        if key != "limit" {
            return Err(format!("{key}: unknown parameter; use limit"));
        }
        let number = value
            .parse::<usize>()
            .ok()
            .filter(|limit| *limit <= MAX_LIMIT);
        limit = number.ok_or_else(|| format!("limit: not a number up to {MAX_LIMIT}"))?;
    }
    Ok(limit)
}

async fn evictions(cache: &Cache, limit: usize) -> Result<Evictions, CacheError> {
    let next = match limit {
        0 => Vec::new(),
        limit => cache.next_to_go(limit).await?,
    };
    let unwanted_bytes = cache.unwanted_bytes().await?;
    let usage = cache.usage();
    Ok(Evictions {
        cache: CacheTotals {
            bytes: usage.bytes,
            blobs: usage.blobs,
            max_bytes: cache.max_size(),
            pinned_bytes: usage.pinned_bytes,
            unwanted_bytes,
            evicted_bytes: usage.evicted_bytes,
            disk_free: usage.available,
            disk_reserve: cache.min_free(),
        },
        next: next.iter().filter_map(shown).collect(),
    })
}

/// Nothing for a pinned one, which never leaves.
fn shown(row: &NextRow) -> Option<NextToGo> {
    let class = match row.class {
        Class::Unwanted => EvictionClass::Unwanted,
        Class::Probation => EvictionClass::Probation,
        Class::Blob => EvictionClass::UsedAgain,
        Class::Manifest => EvictionClass::Manifest,
        Class::Pinned => return None,
    };
    Some(NextToGo {
        digest: row.digest,
        size: row.size,
        used: row.used.into(),
        class,
        why: class.why().to_owned(),
    })
}
