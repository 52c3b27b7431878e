//! `?platform=linux/arm64`

use manifest_model::ParseError;

use super::{Clues, PlatformRequest};

pub(super) fn wishes(clues: &Clues<'_>) -> Result<Vec<PlatformRequest>, ParseError> {
    clues
        .query
        .iter()
        .map(|value| PlatformRequest::parse(value))
        .collect()
}
