//! The way of one blob into the bucket: in one request if it is small, else in parts, which go out
//! while the blob is still arriving. It is completed once its digest has matched, and never before.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use cache::{Blob, Follower, ReadError};
use futures_util::{StreamExt, stream::FuturesUnordered};
use manifest_model::{Digest, Hasher};
use object_store::{Attributes, MultipartUpload, PutPayload};
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    time::{Duration, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{bucket::Bucket, error::TierError};

/// A blob up to this size goes out in one request.
const SINGLE: u64 = 16 << 20;

/// The size of a part: a GiB in 32 requests. That many are more than a provider takes.
const PART: u64 = 32 << 20;
const MAX_PARTS: u64 = 9_000;

/// Parts of one blob under way at once, and requests of all of them.
const PARTS_AT_ONCE: usize = 4;
const REQUESTS_AT_ONCE: usize = 12;

/// How long the end of an upload that failed may take. What is left of it the bucket's lifecycle rule
/// removes.
const ABORT: Duration = Duration::from_secs(10);

/// Why a blob is not in the bucket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// The bucket did not take it.
    #[error(transparent)]
    Tier(#[from] TierError),
    /// There is no such blob to send.
    #[error("the blob cannot be read")]
    Source(#[from] ReadError),
    /// What is stored here is not what its digest says.
    #[error("the stored blob has other bytes than its digest says")]
    Damaged,
}

/// Where the bytes are read.
#[derive(Debug)]
pub(crate) enum UploadSource {
    /// A stored blob.
    Stored(Blob),
    /// One that is still arriving.
    Arriving(Follower),
}

/// Sends blobs to the bucket, a bounded number at once. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Uploads {
    bucket: Bucket,
    requests: Arc<Semaphore>,
    closing: CancellationToken,
}

impl UploadSource {
    /// The size; of one that is arriving once it is known, or all of it is there.
    async fn size(&mut self) -> Result<u64, ReadError> {
        match self {
            Self::Stored(blob) => Ok(blob.size()),
            Self::Arriving(follower) => match follower.size().await.map_err(ReadError::Fill)? {
                Some(size) => Ok(size),
                None => follower.complete().await.map_err(ReadError::Fill),
            },
        }
    }

    async fn part(&mut self, range: Range<u64>) -> Result<Vec<Bytes>, ReadError> {
        match self {
            Self::Stored(blob) => blob.part(range).await,
            Self::Arriving(follower) => follower.part(range).await,
        }
    }

    /// Waits until the digest has matched.
    async fn complete(&mut self) -> Result<(), ReadError> {
        if let Self::Arriving(follower) = self {
            follower.complete().await.map_err(ReadError::Fill)?;
        }
        Ok(())
    }
}

impl Uploads {
    /// They end with `closing`, and are to be made again.
    pub(crate) fn new(bucket: Bucket, closing: CancellationToken) -> Self {
        Self {
            bucket,
            requests: Arc::new(Semaphore::new(REQUESTS_AT_ONCE)),
            closing,
        }
    }

    /// Sends a blob, with what is `noted` of it.
    pub(crate) async fn send(
        &self,
        digest: &Digest,
        mut source: UploadSource,
        noted: Attributes,
    ) -> Result<(), UploadError> {
        let size = source.size().await?;
        if size == 0 {
            // Everybody has it.
            return Ok(());
        }
        if size <= SINGLE {
            source.complete().await?;
            let bytes = source.part(0..size).await?;
            return self.send_whole(digest, bytes, noted).await;
        }
        let path = self.bucket.names().blob(digest);
        let mut upload = self.bucket.begin(&path, noted).await?;
        let sent = self.send_parts(&mut *upload, &mut source, size).await;
        if sent.is_err() {
            let aborted = timeout(ABORT, upload.abort()).await;
            if !matches!(aborted, Ok(Ok(()))) {
                debug!(%digest, "an upload could not be aborted; the bucket's lifecycle rule ends it");
            }
        }
        sent
    }

    /// Sends a small blob. The bucket compares what it gets with the digest that is computed here, and
    /// here that is compared with the blob's own.
    pub(crate) async fn send_whole(
        &self,
        digest: &Digest,
        bytes: Vec<Bytes>,
        noted: Attributes,
    ) -> Result<(), UploadError> {
        let (bucket, digest) = (self.bucket.clone(), *digest);
        let _permit = self.requests.acquire().await;
        let written = self.apart(async move {
            let mut hasher = Hasher::new(digest.algorithm());
            for piece in &bytes {
                hasher.update(piece);
            }
            if hasher.finish() != digest {
                return Err(UploadError::Damaged);
            }
            let path = bucket.names().blob(&digest);
            let payload: PutPayload = bytes.into_iter().collect();
            Ok(bucket.write(&path, payload, noted).await?)
        });
        written.await.unwrap_or(Err(TierError::LeftAlone.into()))
    }

    async fn send_parts(
        &self,
        upload: &mut dyn MultipartUpload,
        source: &mut UploadSource,
        size: u64,
    ) -> Result<(), UploadError> {
        let length = PART.max(size.div_ceil(MAX_PARTS));
        let (mut position, mut under_way) = (0, FuturesUnordered::new());
        while position < size {
            let end = size.min(position + length);
            // The next part is waited for while others are on their way.
            let part = source.part(position..end);
            tokio::pin!(part);
            let bytes = loop {
                tokio::select! {
                    bytes = &mut part => break bytes?,
                    Some(sent) = under_way.next() => sent?,
                }
            };
            let payload: PutPayload = bytes.into_iter().collect();
            let sending = upload.put_part(payload);
            under_way.push(self.send_part(sending, end - position));
            position = end;
            while under_way.len() >= PARTS_AT_ONCE {
                under_way.next().await.transpose()?;
            }
        }
        while let Some(sent) = under_way.next().await {
            sent?;
        }
        source.complete().await?;
        self.bucket.step(upload.complete()).await?;
        Ok(())
    }

    async fn send_part(
        &self,
        sending: object_store::UploadPart,
        bytes: u64,
    ) -> Result<(), TierError> {
        let bucket = self.bucket.clone();
        let _permit = self.requests.acquire().await;
        let sent = self.apart(async move { bucket.step(sending).await });
        sent.await.unwrap_or(Err(TierError::LeftAlone))?;
        self.bucket.wrote(bytes);
        Ok(())
    }

    /// Runs `work` on a thread where it may block: the library hashes a whole part at once, whose bytes
    /// may have to be read from the disk. `None` if the process ends first.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (runtime, closing) = (Handle::current(), self.closing.clone());
        let work = move || runtime.block_on(closing.run_until_cancelled(work));
        tokio::task::spawn_blocking(work).await.ok().flatten()
    }
}
