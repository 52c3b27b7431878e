//! What refers to an image, as a lock lists it.

use bundle::Attached;
use manifest_model::{Digest, Manifest, Tag};

/// The line of `manifest`, which is about `subject` and was found under `tag`, if under any.
pub fn attached(manifest: &Manifest, subject: Digest, tag: Option<Tag>) -> Attached {
    let of_config = || {
        let config = manifest.config();
        config.map_or("", |config| config.media_type.as_str())
    };
    Attached {
        digest: manifest.digest(),
        kind: manifest
            .artifact_type()
            .unwrap_or_else(of_config)
            .to_owned(),
        media_type: manifest.media_type().as_str().to_owned(),
        subject,
        tag,
    }
}
