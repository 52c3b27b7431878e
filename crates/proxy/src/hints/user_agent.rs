//! The `User-Agent` of dockerd and CRI-O, which names their machine. No other client's does, and
//! builders build for other machines.

use http::header;
use manifest_model::user_agent;

use super::{Clues, Wish};

pub(super) fn wish(clues: &Clues<'_>) -> Option<Wish> {
    let agent = clues
        .headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok());
    agent.and_then(user_agent::platform).map(Wish::Platform)
}
