//! `/platform/linux-arm64/v2/...` and `/v2/platform/linux-arm64/...`, for clients that cannot set
//! headers.

use manifest_model::ParseError;

use super::{Clues, Wish};

pub(super) fn wishes(clues: &Clues<'_>) -> Result<Vec<Wish>, ParseError> {
    clues.path.map(Wish::from_path_form).into_iter().collect()
}
