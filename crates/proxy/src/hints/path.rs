//! `/platform/linux-arm64/v2/...` and `/v2/platform/linux-arm64/...`, for clients that cannot set
//! headers.

use manifest_model::ParseError;

use super::{Clues, PlatformRequest};

pub(super) fn wishes(clues: &Clues<'_>) -> Result<Vec<PlatformRequest>, ParseError> {
    clues
        .path
        .map(PlatformRequest::from_path_form)
        .into_iter()
        .collect()
}
