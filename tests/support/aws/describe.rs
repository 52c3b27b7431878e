//! The double's `DescribeImages`: strict as ECR is, so that one image it lacks fails the whole
//! call.

use std::collections::HashMap;

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{answer, with_type};
use crate::server::{Body, full};

/// What the call is named in its header.
pub(super) const TARGET: &str = "AmazonEC2ContainerRegistry_V20150921.DescribeImages";

/// More in one call is refused.
const MOST_IDS: usize = 100;

/// The images there are.
#[derive(Default)]
pub(super) struct Images {
    /// Account, repository, digest: pushed then, in seconds since 1970.
    pub(super) pushed: HashMap<(String, String, String), u64>,
    /// Whether the identity lacks the permission.
    pub(super) is_denied: bool,
    /// Whether it is asked too much.
    pub(super) is_throttling: bool,
}

impl Images {
    pub(super) fn answer(&self, body: &[u8]) -> Response<Body> {
        let refused = |kind| answer(StatusCode::BAD_REQUEST, kind);
        if self.is_denied {
            return refused("AccessDeniedException");
        }
        if self.is_throttling {
            return refused("ThrottlingException");
        }
        let Ok(question) = serde_json::from_slice::<Value>(body) else {
            return refused("SerializationException");
        };
        let text = |key: &str| question[key].as_str().unwrap_or_default().to_owned();
        let (account, repository) = (text("registryId"), text("repositoryName"));
        let is_there = |(a, r, _): &&(String, String, String)| *a == account && *r == repository;
        if !self.pushed.keys().any(|key| is_there(&key)) {
            return refused("RepositoryNotFoundException");
        }
        let ids = question["imageIds"].as_array().cloned().unwrap_or_default();
        if ids.is_empty() || ids.len() > MOST_IDS {
            return refused("InvalidParameterException");
        }
        let mut details = Vec::new();
        for id in ids {
            let digest = id["imageDigest"].as_str().unwrap_or_default().to_owned();
            let key = (account.clone(), repository.clone(), digest.clone());
            match self.pushed.get(&key) {
                Some(at) => details.push(json!({ "imageDigest": digest, "imagePushedAt": at })),
                None => return refused("ImageNotFoundException"),
            }
        }
        let body = json!({ "imageDetails": details }).to_string();
        with_type(Response::new(full(body)))
    }
}
