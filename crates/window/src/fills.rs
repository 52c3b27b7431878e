//! The downloads, with the images that they are for.

use std::time::{Duration, Instant};

use admin_api::{FillOf, Fills};
use manifest_model::Reference;
use protocol::host::Host;
use pull::{Asker, Repository};

use crate::parts::{ImageOfFill, Parts};

/// After how long the image of a download is looked for again, if none was found.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Images that are remembered: those of the downloads that are told, and some more.
const MAX_IMAGES: usize = 1000;

pub(crate) async fn gather(parts: &Parts) -> Fills {
    let mut fills = parts.pull.fills();
    let running = fills.running.iter_mut().map(|fill| &mut fill.of);
    let ended = fills.ended.iter_mut().map(|fill| &mut fill.of);
    for of in running.chain(ended) {
        let found = image_of(parts, of).await;
        (of.image, of.platform) = (found.image, found.platform);
    }
    fills
}

/// What a download is for, which is looked for until it is found.
async fn image_of(parts: &Parts, of: &FillOf) -> ImageOfFill {
    let known = parts.images.lock().get(&of.digest).cloned();
    if let Some(known) = known
        && (known.image.is_some() || known.looked.elapsed() <= LOOK_AGAIN)
    {
        return known;
    }
    let found = find(parts, of).await;
    let mut images = parts.images.lock();
    if images.len() >= MAX_IMAGES {
        images.clear();
    }
    images.insert(of.digest, found.clone());
    found
}

async fn find(parts: &Parts, of: &FillOf) -> ImageOfFill {
    let mut found = ImageOfFill {
        image: None,
        platform: None,
        looked: Instant::now(),
    };
    if let Some(repository) = repository(parts, of) {
        let (image, platform) = parts.pull.image_with(&repository, &of.digest).await;
        let name = format!("{}/{}", of.upstream, of.repository);
        found.image = image.map(|reference| match reference {
            Reference::Tag(tag) => format!("{name}:{tag}"),
            Reference::Digest(digest) => format!("{name}@{digest}"),
        });
        found.platform = platform.map(|platform| platform.to_string());
    }
    found
}

/// None where a reload has taken the upstream away.
fn repository(parts: &Parts, of: &FillOf) -> Option<Repository> {
    let host: Host = of.upstream.parse().ok()?;
    let name = of.repository.parse().ok()?;
    let found = parts.pull.repository(&host, &name, Asker::Ahead);
    found.ok().flatten()
}
