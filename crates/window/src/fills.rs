//! The downloads, with the images that they are for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use admin_api::{EndedFill, FillEnd, FillOf, FillOrigin, FillWait, Fills, FillsNow, RunningFill};
use fill_ledger::{EndedView, FillOutcome, FillStage, FillView};
use manifest_model::{Digest, Reference};
use pull::Asker;

use crate::parts::{ImageOfFill, Parts};

/// How long a download may stand still before it counts as waiting for bytes.
const STILL: Duration = Duration::from_secs(1);

/// After how long the image of a download is looked for again, if none was found.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Images that are remembered: those of the downloads that are told, and some more.
const MAX_IMAGES: usize = 1000;

pub(crate) async fn gather(parts: &Arc<Parts>) -> Fills {
    let (running, ended) = parts.pull.fills();
    for view in &running {
        look_for_image(parts, view).await;
    }
    for view in &ended {
        look_for_image(parts, &view.last).await;
    }
    Fills {
        running: running
            .iter()
            .map(|view| self::running(parts, view))
            .collect(),
        ended: ended.iter().map(|view| self::ended(parts, view)).collect(),
        max: parts.config.current().cache.max_fills,
    }
}

/// The sums of those that run.
pub(crate) fn now(parts: &Parts) -> FillsNow {
    let (running, _) = parts.pull.fills();
    FillsNow {
        running: running.len(),
        waiting: running.iter().filter(|view| waits(view).is_some()).count(),
        followers: running.iter().map(|view| view.followers).sum(),
        rate: running.iter().map(|view| view.rate).sum(),
        max: parts.config.current().cache.max_fills,
    }
}

/// Finds out once what a download is for.
async fn look_for_image(parts: &Parts, view: &FillView) {
    let known = parts.images.lock().get(&view.digest).cloned();
    let is_due =
        known.is_none_or(|known| known.image.is_none() && known.looked.elapsed() > LOOK_AGAIN);
    if !is_due {
        return;
    }
    let found = find(parts, view).await;
    let (image, platform) = found.unwrap_or_default();
    let mut images = parts.images.lock();
    if images.len() >= MAX_IMAGES {
        images.clear();
    }
    let looked = Instant::now();
    images.insert(
        view.digest,
        ImageOfFill {
            image,
            platform,
            looked,
        },
    );
}

async fn find(parts: &Parts, view: &FillView) -> Option<(Option<String>, Option<String>)> {
    let repository = parts
        .pull
        .repository(&view.upstream, &view.repository, Asker::Ahead);
    let repository = repository.ok()??;
    let (image, platform) = parts.pull.image_with(&repository, &view.digest).await;
    let name = image.map(|reference| {
        let of = format!("{}/{}", view.upstream, view.repository);
        match reference {
            Reference::Tag(tag) => format!("{of}:{tag}"),
            Reference::Digest(digest) => format!("{of}@{digest}"),
        }
    });
    Some((name, platform.map(|platform| platform.to_string())))
}

fn of(parts: &Parts, view: &FillView) -> FillOf {
    let digest: Digest = view.digest;
    let known = parts.images.lock().get(&digest).cloned();
    let (image, platform) = known.map_or((None, None), |known| (known.image, known.platform));
    FillOf {
        digest,
        upstream: view.upstream.to_string(),
        repository: view.repository.to_string(),
        image,
        platform,
        origin: if view.is_ahead {
            FillOrigin::Prefetch
        } else {
            FillOrigin::Client
        },
    }
}

fn waits(view: &FillView) -> Option<FillWait> {
    match view.stage {
        FillStage::Slot => Some(FillWait::Slot),
        FillStage::Answer => Some(FillWait::Answer),
        FillStage::Room => Some(FillWait::Room),
        FillStage::Bytes => (view.still_for > STILL).then_some(FillWait::Bytes),
        FillStage::Storing => Some(FillWait::Storing),
    }
}

fn running(parts: &Parts, view: &FillView) -> RunningFill {
    RunningFill {
        of: of(parts, view),
        started: view.started.into(),
        size: view.size,
        written: view.written,
        resumed: view.resumed,
        rate: view.rate,
        connections: view.connections,
        followers: view.followers,
        waits: waits(view),
    }
}

fn ended(parts: &Parts, view: &EndedView) -> EndedFill {
    let last = &view.last;
    EndedFill {
        of: of(parts, last),
        started: last.started.into(),
        ended: (last.started + last.age).into(),
        took_ms: u64::try_from(last.age.as_millis()).unwrap_or(u64::MAX),
        size: last.size,
        written: last.written,
        resumed: last.resumed,
        end: match view.outcome {
            FillOutcome::Stored => FillEnd::Stored,
            FillOutcome::NoSlot | FillOutcome::Failed => FillEnd::Failed,
            FillOutcome::GaveWay => FillEnd::GaveWay,
            FillOutcome::SentPast => FillEnd::SentPast,
            FillOutcome::Unstored => FillEnd::Unstored,
            FillOutcome::Wrong => FillEnd::Wrong,
            FillOutcome::Cut => FillEnd::Cut,
        },
        cause: view.cause.clone(),
    }
}
