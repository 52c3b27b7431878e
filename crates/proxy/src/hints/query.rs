//! `?platform=linux/arm64`

use manifest_model::ParseError;

use super::{Clues, Wish};

pub(super) fn wishes(clues: &Clues<'_>) -> Result<Vec<Wish>, ParseError> {
    clues.query.iter().map(|value| Wish::parse(value)).collect()
}
