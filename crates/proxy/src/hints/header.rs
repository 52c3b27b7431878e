//! `Archway-Platform: linux/arm64`. containerd sends each value of its `hosts.toml` as a line of
//! its own.

use manifest_model::ParseError;
use protocol::headers::ARCHWAY_PLATFORM;

use super::{Clues, Wish};

pub(super) fn wishes(clues: &Clues<'_>) -> Result<Vec<Wish>, ParseError> {
    let values = clues.headers.get_all(ARCHWAY_PLATFORM).iter();
    values
        .map(|value| Wish::parse(&String::from_utf8_lossy(value.as_bytes())))
        .collect()
}
