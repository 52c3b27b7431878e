//! Feeding a fill from its upstream, through cuts and stalls.

use std::{sync::Arc, time::Duration};

use cache::{Fill, FillError};
use futures_util::StreamExt;
use tracing::{Instrument, debug, info_span, warn};

use super::{Pull, Repository};
use crate::upstream::{BlobBody, Chain, FetchError};

/// How long a fill waits for a slot.
const SLOT_PATIENCE: Duration = Duration::from_secs(30);

/// How often in a row a download may be taken up again without a byte gained in between.
const MAX_RESUMES: u32 = 4;

/// The pause before the first of them; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// No slot came free in time.
#[derive(Debug, thiserror::Error)]
#[error("no fill slot came free within {SLOT_PATIENCE:?}")]
pub(super) struct NoSlot;

/// Brings a blob to the cache, or its followers an error. Runs on a task of its own.
pub(super) async fn run(pull: Pull, repository: Repository, fill: Fill) {
    let span = info_span!("fill", upstream = %repository.upstream.host(), repository = %repository.name, digest = %fill.digest());
    let stop = pull.inner.stop.clone();
    // Cut by shutdown, the fill is dropped, which tells its followers.
    stop.run_until_cancelled(Box::pin(bring(pull, repository, fill)))
        .instrument(span)
        .await;
}

async fn bring(pull: Pull, repository: Repository, mut fill: Fill) {
    if tokio::time::timeout(SLOT_PATIENCE, fill.admit())
        .await
        .is_err()
    {
        fill.fail(Arc::new(NoSlot));
        return;
    }
    let body = match repository
        .upstream
        .blob(&repository.name, &fill.digest(), 0)
        .await
    {
        Ok(body) => body,
        Err(error) => {
            debug!(error = %error.chain(), "the upstream did not give the blob");
            fill.fail(Arc::new(error));
            return;
        }
    };
    if let Err(error) = pull.inner.cache.link(&repository.key, &fill.digest()).await {
        warn!(error = %Chain(&error), "a link could not be noted");
    }
    let outcome = match feed(&repository, &mut fill, body).await {
        Ok(()) => fill.commit().await,
        Err(Feed::Source(error)) => Err(fill.fail(Arc::new(error))),
        Err(Feed::Fill(error)) => Err(error),
    };
    match outcome {
        Ok(()) => {
            pull.inner.metrics.fills_completed.inc();
        }
        Err(error) => {
            pull.inner.metrics.fills_failed.inc();
            warn!(error = %Chain(&error), "a download failed");
        }
    }
}

enum Feed {
    Source(FetchError),
    Fill(Arc<FillError>),
}

/// Writes the body, asking for the rest of it as often as it breaks off and something was gained.
async fn feed(repository: &Repository, fill: &mut Fill, body: BlobBody) -> Result<(), Feed> {
    let size = body.size;
    fill.start(size).await.map_err(Feed::Fill)?;
    let mut written = 0;
    let mut body = body;
    let mut resumes = 0;
    loop {
        let before = written;
        let broken = match pour(fill, &mut body, &mut written).await? {
            None if size.is_none_or(|size| written >= size) => return Ok(()),
            // Ended early without an error: a cut that looks like an end.
            None => None,
            Some(error) => Some(error),
        };
        if written > before {
            resumes = 0;
        }
        body = loop {
            resumes += 1;
            if size.is_none() || resumes > MAX_RESUMES {
                let Some(error) = broken else { return Ok(()) };
                return Err(Feed::Source(error));
            }
            tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(resumes - 1)).await;
            debug!(written, resumes, "asking for the rest");
            match repository
                .upstream
                .blob(&repository.name, &fill.digest(), written)
                .await
            {
                Ok(rest) => break rest,
                Err(error) if error.is_transient() && resumes < MAX_RESUMES => {}
                Err(error) => return Err(Feed::Source(error)),
            }
        };
    }
}

/// Writes what comes until the body ends or breaks; the error, if it broke. Bytes that are there already are skipped.
async fn pour(
    fill: &mut Fill,
    body: &mut BlobBody,
    written: &mut u64,
) -> Result<Option<FetchError>, Feed> {
    let mut position = body.start;
    while let Some(chunk) = body.bytes.next().await {
        let mut chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => return Ok(Some(error)),
        };
        let known = usize::try_from(*written - position)
            .map_or(chunk.len(), |known| known.min(chunk.len()));
        position += chunk.len() as u64;
        let new = chunk.split_off(known);
        if !new.is_empty() {
            *written += new.len() as u64;
            fill.write(new).await.map_err(Feed::Fill)?;
        }
    }
    Ok(None)
}
