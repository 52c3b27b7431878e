//! Platforms as error bodies and explanations show them.

use manifest_model::Platform;

/// The most characters shown of a platform: its real name may be as long as an index.
const MAX_PLATFORM_CHARS: usize = 80;

/// The platform's text, cut to a length that suits a message.
pub(super) fn shortened(platform: &Platform) -> String {
    platform
        .to_string()
        .chars()
        .take(MAX_PLATFORM_CHARS)
        .collect()
}
