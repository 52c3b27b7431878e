//! One blob of the bucket as the source of one download.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use manifest_model::Digest;
use parking_lot::Mutex;
use protocol::host::Host;
use upstream::{BlobBody, Cause, FetchError, Part};

use crate::{
    bucket::{Bucket, Reading},
    error::TierError,
    inventory::Inventory,
    mark::Key,
};

/// What one request asks for: a GiB in 16 of them.
const RANGE: u64 = 64 << 20;

/// One blob of the bucket, to be fetched in parts for a repository of the upstream `host`.
#[derive(Clone, Debug)]
pub struct TierBlob {
    pub(crate) bucket: Bucket,
    pub(crate) inventory: Arc<Inventory>,
    pub(crate) key: Key,
    pub(crate) digest: Digest,
    pub(crate) host: Host,
    pub(crate) sender: Arc<Mutex<Option<String>>>,
}

impl TierBlob {
    /// A part of the blob. Any error means: not from here.
    pub async fn get(&self, part: Part) -> Result<BlobBody, FetchError> {
        let (start, end) = match part {
            Part::Whole => (0, None),
            Part::Bytes(start, end) => (start, end),
        };
        let path = self.bucket.names().blob(&self.digest);
        let first = start..end.unwrap_or(u64::MAX).min(start + RANGE);
        let Reading {
            size,
            attributes,
            bytes,
        } = match self.bucket.read(&path, first.clone()).await {
            Ok(reading) => reading,
            Err(error) => {
                if error == TierError::Absent {
                    self.inventory.forget(&self.digest);
                }
                return Err(self.failed(error));
            }
        };
        *self.sender.lock() = self.key.sender(&attributes, &self.digest);
        let end = end.unwrap_or(size).min(size);
        let rest = first.end.min(end)..end;
        let rest = self.rest(rest);
        let host = self.host.clone();
        let bytes = bytes.map(move |piece| piece.map_err(|error| failed(&host, error)));
        Ok(BlobBody {
            size: Some(size),
            start,
            end: (part != Part::Whole).then_some(end),
            ranges: true,
            bytes: Box::pin(bytes.chain(rest)),
        })
    }

    /// Whether the bucket says that this blob was sent by the upstream it is asked for: then whoever has
    /// a manifest of that upstream that names it may have it, as with bytes that are stored here. Known
    /// once a part was asked for.
    pub fn is_of_upstream(&self) -> bool {
        self.sender.lock().as_deref() == Some(self.host.as_str())
    }

    /// The bytes of `range`, in requests of a bounded length, one after the other.
    fn rest(&self, range: Range<u64>) -> impl Stream<Item = Result<Bytes, FetchError>> + use<> {
        let this = self.clone();
        let pieces = stream::try_unfold(range.start, move |start| {
            let this = this.clone();
            async move {
                if start >= range.end {
                    return Ok::<_, FetchError>(None);
                }
                let end = range.end.min(start + RANGE);
                let path = this.bucket.names().blob(&this.digest);
                let reading = this.bucket.read(&path, start..end).await;
                let reading = reading.map_err(|error| this.failed(error))?;
                let host = this.host.clone();
                let bytes = reading.bytes;
                let bytes = bytes.map(move |piece| piece.map_err(|error| failed(&host, error)));
                Ok(Some((bytes, end)))
            }
        });
        futures_util::TryStreamExt::try_flatten(pieces)
    }

    fn failed(&self, error: TierError) -> FetchError {
        failed(&self.host, error)
    }
}

fn failed(host: &Host, error: TierError) -> FetchError {
    FetchError::Unreachable {
        upstream: host.clone(),
        source: Cause::Nearby(Box::new(error)),
    }
}
