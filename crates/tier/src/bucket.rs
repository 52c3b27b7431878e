//! The bucket: each question to it, with its time limit and its breaker.
//!
//! Owns what it means when the bucket does not answer. Refuses what objects mean: the parts above
//! know that.

mod open;
mod wire;

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use http::Method;
use manifest_model::{Digest, Hasher};
use object_store::{
    Attributes, GetOptions, GetRange, GetResult, GetResultPayload, MultipartUpload, ObjectMeta,
    PutMultipartOptions, PutOptions, PutPayload, path::Path,
};
use tokio::time::timeout;
use url::Url;

pub(crate) use self::open::{Clients, region};
use crate::{
    breaker::Breaker,
    error::TierError,
    metrics::{Direction, TierMetrics},
    names::Names,
};

/// How long a client waits for the first byte of the bucket before its upstream is asked instead.
pub(crate) const FIRST_BYTE: Duration = Duration::from_millis(1500);

/// Objects that are deleted by one request.
pub(crate) const DELETED_AT_ONCE: usize = 1000;

/// How long a body may pause.
pub(crate) const NEXT_BYTE: Duration = Duration::from_millis(1500);

/// How long a question that no client waits for may take, and a write of at most a part.
const ANSWER: Duration = Duration::from_secs(15);
const WRITE: Duration = Duration::from_mins(3);

/// The bucket. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    clients: Clients,
    names: Names,
    reads: Arc<Breaker>,
    writes: Arc<Breaker>,
    metrics: TierMetrics,
}

/// An object that is being read.
pub(crate) struct Reading {
    /// The size of all of it.
    pub(crate) size: u64,
    /// What was noted with it.
    pub(crate) attributes: Attributes,
    /// The bytes of the range asked for.
    pub(crate) bytes: BoxStream<'static, Result<Bytes, TierError>>,
}

impl Bucket {
    pub(crate) fn new(clients: Clients, names: Names, metrics: TierMetrics) -> Self {
        Self {
            clients,
            names,
            reads: Arc::new(Breaker::new(Direction::Read, metrics.clone())),
            writes: Arc::new(Breaker::new(Direction::Write, metrics.clone())),
            metrics,
        }
    }

    /// The names of its objects.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// Whether it is asked for a client.
    pub(crate) fn is_readable(&self) -> bool {
        self.reads.is_closed()
    }

    /// The breaker of writes, which wait on the disk while it is open.
    pub(crate) fn writes(&self) -> &Breaker {
        &self.writes
    }

    /// A range of an object, for a client that waits.
    pub(crate) async fn read(&self, path: &Path, range: Range<u64>) -> Result<Reading, TierError> {
        if !self.reads.is_closed() {
            return Err(TierError::LeftAlone);
        }
        self.open(path, Some(range), FIRST_BYTE).await
    }

    /// A small object, for a client that waits.
    pub(crate) async fn read_small(&self, path: &Path, max: usize) -> Result<Bytes, TierError> {
        if !self.reads.is_closed() {
            return Err(TierError::LeftAlone);
        }
        gather(self.open(path, None, FIRST_BYTE).await?, max).await
    }

    /// An object that no client waits for. What it tells opens or closes the breaker as well.
    pub(crate) async fn fetch(&self, path: &Path, max: usize) -> Result<Bytes, TierError> {
        if !self.reads.may_try() {
            return Err(TierError::LeftAlone);
        }
        gather(self.open(path, None, ANSWER).await?, max).await
    }

    async fn open(
        &self,
        path: &Path,
        range: Option<Range<u64>>,
        wait: Duration,
    ) -> Result<Reading, TierError> {
        let options = GetOptions {
            range: range.map(GetRange::Bounded),
            ..GetOptions::default()
        };
        let answer = timeout(wait, self.clients.impatient.get_opts(path, options)).await;
        let answer = settled(answer, wait);
        self.reads.note(&answer);
        Ok(self.reading(answer?))
    }

    fn reading(&self, answer: GetResult) -> Reading {
        let GetResultPayload::Stream(bytes) = answer.payload;
        let breaker = Arc::clone(&self.reads);
        let metrics = self.metrics.clone();
        let bytes = futures_util::stream::try_unfold(bytes, move |mut bytes| {
            let (breaker, metrics) = (Arc::clone(&breaker), metrics.clone());
            async move {
                let piece = match timeout(NEXT_BYTE, bytes.next()).await {
                    Ok(None) => return Ok(None),
                    Ok(Some(piece)) => piece.map_err(|error| TierError::of(&error)),
                    Err(_) => Err(silent(NEXT_BYTE)),
                };
                if piece.is_err() {
                    breaker.note(&piece);
                }
                let piece = piece?;
                metrics.moved(Direction::Read, piece.len() as u64);
                Ok(Some((piece, bytes)))
            }
        });
        Reading {
            size: answer.meta.size,
            attributes: answer.attributes,
            bytes: bytes.boxed(),
        }
    }

    /// The digest of the bytes that are there in place of `digest`'s.
    pub(crate) async fn hashed(&self, digest: &Digest) -> Result<Digest, TierError> {
        let mut reading = self.open(&self.names.blob(digest), None, ANSWER).await?;
        let mut hasher = Hasher::new(digest.algorithm());
        while let Some(piece) = reading.bytes.try_next().await? {
            hasher.update(&piece);
        }
        Ok(hasher.finish())
    }

    /// Writes an object in one request.
    pub(crate) async fn write(
        &self,
        path: &Path,
        payload: PutPayload,
        attributes: Attributes,
    ) -> Result<(), TierError> {
        let length = payload.content_length() as u64;
        let options = PutOptions {
            attributes,
            ..PutOptions::default()
        };
        let written = self.clients.patient.put_opts(path, payload, options);
        let written = settled(timeout(WRITE, written).await, WRITE);
        self.writes.note(&written);
        self.metrics.moved(Direction::Write, length);
        written.map(|_| ())
    }

    /// Writes an object; whether the bucket keeps versions of it.
    pub(crate) async fn put_versioned(
        &self,
        path: &Path,
        payload: PutPayload,
    ) -> Result<bool, TierError> {
        let options = PutOptions::default();
        let written = self.clients.impatient.put_opts(path, payload, options);
        let written = settled(timeout(ANSWER, written).await, ANSWER)?;
        Ok(written.version.is_some_and(|version| version != "null"))
    }

    /// Begins an object that is written in parts.
    pub(crate) async fn begin(
        &self,
        path: &Path,
        attributes: Attributes,
    ) -> Result<Box<dyn MultipartUpload>, TierError> {
        let options = PutMultipartOptions {
            attributes,
            ..PutMultipartOptions::default()
        };
        let begun = self.clients.patient.put_multipart_opts(path, options);
        let begun = settled(timeout(WRITE, begun).await, WRITE);
        self.writes.note(&begun);
        begun
    }

    /// The outcome of one step of such an object.
    pub(crate) async fn step<T>(
        &self,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, TierError> {
        let done = settled(timeout(WRITE, work).await, WRITE);
        self.writes.note(&done);
        done
    }

    /// Counts the bytes of a part.
    pub(crate) fn wrote(&self, bytes: u64) {
        self.metrics.moved(Direction::Write, bytes);
    }

    /// The objects of a folder, behind `after` if that is given.
    pub(crate) fn list(
        &self,
        folder: &Path,
        after: Option<&Path>,
    ) -> BoxStream<'static, Result<ObjectMeta, TierError>> {
        let listed = match after {
            Some(after) => self.clients.patient.list_with_offset(Some(folder), after),
            None => self.clients.patient.list(Some(folder)),
        };
        listed.map_err(|error| TierError::of(&error)).boxed()
    }

    /// The first `limit` objects of a folder, within a client's wait.
    pub(crate) async fn list_some(&self, folder: &Path, limit: usize) -> Vec<ObjectMeta> {
        let listed = self.list(folder, None).take(limit).try_collect();
        let listed: Result<Vec<_>, _> = match timeout(FIRST_BYTE, listed).await {
            Ok(listed) => listed,
            Err(_) => Err(silent(FIRST_BYTE)),
        };
        self.reads.note(&listed);
        listed.unwrap_or_default()
    }

    /// Deletes objects; the number of those that are gone.
    pub(crate) async fn delete(&self, paths: Vec<Path>) -> Result<u64, TierError> {
        let paths = futures_util::stream::iter(paths.into_iter().map(Ok)).boxed();
        let mut deleted = self.clients.patient.delete_stream(paths);
        let mut count = 0;
        while let Some(one) = deleted.next().await {
            match one {
                Ok(_) => count += 1,
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(TierError::of(&error)),
            }
        }
        Ok(count)
    }

    /// A URL with which anybody may read an object for `time`; `None` where the key that signs it ends
    /// before.
    pub(crate) async fn signed(&self, path: &Path, time: Duration) -> Option<Url> {
        if let Some(keys) = &self.clients.keys {
            let key = keys.current().await.ok()?;
            let end = std::time::SystemTime::now() + time;
            if key.ends.is_some_and(|ends| ends < end) {
                return None;
            }
        }
        let signer = self.clients.signer.as_ref()?;
        signer.signed_url(Method::GET, path, time).await.ok()
    }
}

async fn gather(mut reading: Reading, max: usize) -> Result<Bytes, TierError> {
    let mut all = BytesMut::new();
    while let Some(piece) = reading.bytes.try_next().await? {
        if all.len() + piece.len() > max {
            return Err(TierError::TooLarge);
        }
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}

fn settled<T>(
    answer: Result<object_store::Result<T>, tokio::time::error::Elapsed>,
    wait: Duration,
) -> Result<T, TierError> {
    match answer {
        Ok(answer) => answer.map_err(|error| of_wire(&error)),
        Err(_) => Err(silent(wait)),
    }
}

/// An error on the way is silence, as a time that ran out is.
fn of_wire(error: &object_store::Error) -> TierError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(one) = cause {
        if one.is::<object_store::client::HttpError>() {
            return TierError::Silent(protocol::error_chain::ErrorChain(one).to_string());
        }
        cause = one.source();
    }
    TierError::of(error)
}

fn silent(wait: Duration) -> TierError {
    TierError::Silent(format!("nothing came for {wait:?}"))
}
