//! `/platform/linux-arm64/v2/...` and `/v2/platform/linux-arm64/...`, for clients that cannot set headers.

use manifest_model::{ParseError, Platform};

use super::{Clues, Wish};

pub(super) fn wishes(clues: &Clues<'_>) -> Result<Vec<Wish>, ParseError> {
    let wish = |text| {
        if text == "all" {
            Ok(Wish::All)
        } else {
            Platform::from_path_form(text).map(Wish::Platform)
        }
    };
    clues.path.map(wish).into_iter().collect()
}
