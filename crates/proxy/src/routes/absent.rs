//! The answer to a client that asks an offline upstream for what is not stored: what there is.

use cache::RepoKey;
use http::{HeaderMap, HeaderValue, header};
use manifest_model::{Platform, Reference, Tag};
use protocol::error_body::Code;
use pull::{Missing, PullError, Repository, Stock};
use serde_json::{Value, json};

use super::{Service, error::ApiError, platform_text::shortened};

/// How long a cache between us and a client may repeat it: an import may bring what is missing.
const MAX_AGE: &str = "max-age=5";

/// The digits of a bundle's id in a message; the detail has all.
const SHORT_ID: usize = 12;

/// Whether what is missing goes into the wish list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noting {
    Noted,
    /// The request only asks about an answer.
    LeftOut,
}

impl Noting {
    pub(super) fn unless_explained(is_explained: bool) -> Self {
        if is_explained {
            Self::LeftOut
        } else {
            Self::Noted
        }
    }
}

/// The error as a client gets it; one that is not about an offline upstream stays as it is.
///
/// `wanted` is the platform that the client was to get, where its request or an index tells.
pub(super) async fn explained(
    service: &Service,
    repository: &Repository,
    missing: Missing<'_>,
    wanted: Option<&Platform>,
    noting: Noting,
    error: PullError,
) -> ApiError {
    match &error {
        PullError::NotHere { .. } => {}
        PullError::NoSource { tried } if repository.upstream().is_offline() => {
            let is_noted =
                noting == Noting::Noted && service.wanted.note_sources(repository, tried);
            let detail = json!({
                "offline": true,
                "platforms": [],
                "left_out_by": null,
                "tried": tried,
                "wanted": is_noted.then_some("noted"),
            });
            return not_here(Code::ManifestUnknown, error.to_string(), detail);
        }
        _ => return error.into(),
    }
    let stock = service.pull.stock(repository, missing, wanted).await;
    let platform = stock.platform.as_ref().or(wanted);
    let mut message = message(repository, missing, &stock, platform);
    let is_noted = noting == Noting::Noted && note(service, repository, missing, &stock, platform);
    if is_noted {
        message.push_str("; it is noted in the wish list");
    }
    let platforms: Vec<_> = stock.platforms.iter().map(shortened).collect();
    let detail = json!({
        "offline": true,
        "platforms": platforms,
        "left_out_by": stock.left_out_by.map(|bundle| bundle.to_string()),
        "wanted": is_noted.then_some("noted"),
    });
    let code = match missing {
        Missing::Manifest(_) => Code::ManifestUnknown,
        Missing::Blob(_) => Code::BlobUnknown,
    };
    not_here(code, message, detail)
}

fn not_here(code: Code, message: String, detail: Value) -> ApiError {
    let soon = HeaderValue::from_static(MAX_AGE);
    ApiError::not_here(code, message, detail)
        .with(HeaderMap::from_iter([(header::CACHE_CONTROL, soon)]))
}

/// Notes the image. A manifest that an index lists for no platform, as an attestation, is not what
/// somebody runs, and comes with the rest.
fn note(
    service: &Service,
    repository: &Repository,
    missing: Missing<'_>,
    stock: &Stock,
    platform: Option<&Platform>,
) -> bool {
    let Some(image) = &stock.image else {
        return false;
    };
    let is_listed_for_none = match missing {
        Missing::Manifest(asked) => asked != image && platform.is_none(),
        Missing::Blob(_) => false,
    };
    !is_listed_for_none && service.wanted.note(repository, image, platform)
}

/// What is missing, and what there is of it.
fn message(
    repository: &Repository,
    missing: Missing<'_>,
    stock: &Stock,
    platform: Option<&Platform>,
) -> String {
    let upstream = repository.upstream().host();
    let repository = repository.key();
    let image = match (&stock.image, missing) {
        (Some(image), _) | (None, Missing::Manifest(image)) => named(repository, image),
        (None, Missing::Blob(digest)) => format!("blob {digest} of {repository}"),
    };
    let wanted = platform.map_or_else(String::new, |platform| {
        format!(" for {}", shortened(platform))
    });
    let part = match missing {
        Missing::Manifest(Reference::Digest(digest)) => Some(digest.to_string()),
        Missing::Manifest(Reference::Tag(_)) => None,
        Missing::Blob(digest) => Some(format!("blob {digest}")),
    };
    let part = part.filter(|part| !image.contains(part.as_str()));
    let part = part.map_or_else(String::new, |part| format!(" ({part} is missing)"));
    let left_out = stock.left_out_by.map_or_else(String::new, |bundle| {
        let id: String = bundle.hex().chars().take(SHORT_ID).collect();
        format!("; bundle {id} left it out")
    });
    let there = there(repository, stock);
    format!(
        "{upstream} is offline here, and {image} is not stored{wanted}{part}{left_out}; {there}"
    )
}

fn named(repository: &RepoKey, reference: &Reference) -> String {
    match reference {
        Reference::Tag(tag) => format!("{repository}:{tag}"),
        Reference::Digest(digest) => format!("{repository}@{digest}"),
    }
}

fn there(repository: &RepoKey, stock: &Stock) -> String {
    if stock.is_unseen {
        return format!("too many ask at once to say what of {repository} is");
    }
    if !stock.platforms.is_empty() {
        let platforms: Vec<_> = stock.platforms.iter().map(shortened).collect();
        return format!("it is here for {}", platforms.join(", "));
    }
    if stock.tags.is_empty() {
        return format!("nothing else of {repository} is stored");
    }
    let tags: Vec<_> = stock.tags.iter().map(Tag::as_str).collect();
    format!("of {repository} there is {}", tags.join(", "))
}
