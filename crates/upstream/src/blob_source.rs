//! One blob as the source of one download, fetched in parts.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use manifest_model::{Digest, RepoName};
use parking_lot::Mutex;
use protocol::host::Host;
use reqwest::Response;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, oneshot},
    time::{Instant, timeout},
};
use url::Url;

use crate::{
    blob::{self, BlobBody, Part},
    endpoint::{Endpoint, Request, Turn},
    error::{Cause, FetchError, RangeRefusal},
    policy::Deadline,
    upstream::Upstream,
};

/// How long the first byte of a body may take from an endpoint whose bodies are in doubt, once the
/// endpoint itself has answered: rates, tokens and a long way to it are no part of that.
const FIRST_BYTE_WAIT: Duration = Duration::from_millis(600);

/// One blob of one repository, to be fetched in parts during one download. A clone is for the same
/// download.
///
/// If the registry redirects, the store's address is kept between the parts, so that a part costs
/// one request. The address is dropped with this value, and as soon as the store refuses it.
#[derive(Clone, Debug)]
pub struct BlobSource {
    upstream: Arc<Upstream>,
    repository: RepoName,
    digest: Digest,
    way: Arc<Mutex<Way>>,
    /// Who is told that the registry has answered, of a clone for one question.
    heard: Option<Arc<Notify>>,
}

/// What earlier parts have told about the way to the next one.
#[derive(Debug, Default)]
struct Way {
    store: Option<Store>,
    /// The position of the endpoint whose body has stalled last: it is asked after the others.
    stalled: Option<usize>,
}

/// A body that is asked for on a task of its own.
struct Trial {
    heard: Arc<Notify>,
    answer: oneshot::Receiver<Result<BlobBody, FetchError>>,
    /// Of the task.
    deadline: Deadline,
}

/// The target of a redirect, and the position of the endpoint that sent it.
#[derive(Clone, Debug)]
struct Store {
    endpoint: usize,
    url: Url,
}

impl BlobSource {
    /// Sends no request; [`Self::get`] does.
    pub fn new(upstream: Arc<Upstream>, repository: RepoName, digest: Digest) -> Self {
        Self {
            upstream,
            repository,
            digest,
            way: Arc::default(),
            heard: None,
        }
    }

    /// A part of the blob. A store that ignores ranges sends all of it, and so does one that refuses
    /// a range from the start of the blob. Elsewhere a refusal is an error: the caller decides
    /// whether the bytes before are worth reading once more ([`Self::get_without_range`]).
    pub async fn get(&self, part: Part, deadline: &Deadline) -> Result<BlobBody, FetchError> {
        if part.start() == 0 && self.refuses_ranges() {
            return self.ask(Part::Whole, deadline).await;
        }
        self.ask(part, deadline).await
    }

    /// The whole blob, after a part of it was refused.
    pub async fn get_without_range(
        &self,
        refusal: Option<RangeRefusal>,
        deadline: &Deadline,
    ) -> Result<BlobBody, FetchError> {
        let body = self.ask(Part::Whole, deadline).await?;
        if let Some(refusal) = refusal {
            let ranges = self.upstream.endpoints()?.get(0).ranges();
            ranges.refused(refusal, &self.repository, Instant::now());
        }
        Ok(body)
    }

    /// The upstream that is asked.
    pub fn host(&self) -> &Host {
        self.upstream.host()
    }

    /// Whether ranges of this repository were refused a while ago.
    pub fn refuses_ranges(&self) -> bool {
        let now = Instant::now();
        let endpoints = self.upstream.endpoints();
        endpoints.is_ok_and(|endpoints| {
            let ranges = endpoints.get(0).ranges();
            ranges.are_refused(&self.repository, now)
        })
    }

    /// Whether every part counts for a configured rate, since no store is known that would send it.
    pub fn is_rate_limited(&self) -> bool {
        let limits = &self.upstream.config().limits;
        let is_limited = limits.rate.is_some() || limits.blob_rate.is_some();
        is_limited && self.way.lock().store.is_none()
    }

    /// The error for a whole blob that does not have its digest.
    pub fn corrupt(&self, expected: Digest, actual: Digest) -> FetchError {
        if let Ok(endpoints) = self.upstream.endpoints() {
            endpoints.tally().corrupt();
        }
        self.broken(Cause::WrongDigest { expected, actual })
    }

    /// The error for an answer of this upstream that cannot be right.
    pub fn broken(&self, source: Cause) -> FetchError {
        FetchError::Broken {
            upstream: self.upstream.host().clone(),
            source,
        }
    }

    /// Asks the store if one is known, else or after its failure the registry.
    async fn ask(&self, part: Part, deadline: &Deadline) -> Result<BlobBody, FetchError> {
        let store = self.way.lock().store.clone();
        if let Some(store) = store {
            let endpoint = self.upstream.endpoints()?.get(store.endpoint);
            let turn = Turn::new(endpoint, deadline.half());
            let answer = turn.ask_store(&store.url, &self.request(part)).await;
            match answer.and_then(|response| self.body(&turn, response, part)) {
                Ok(body) => return Ok(body),
                Err(error) => {
                    let error = error.chain();
                    tracing::debug!(%error, "a store failed; asking the registry again");
                    self.remember(None);
                }
            }
        }
        self.ask_registry(part, deadline).await
    }

    async fn ask_registry(&self, part: Part, deadline: &Deadline) -> Result<BlobBody, FetchError> {
        let endpoints = self.upstream.endpoints()?;
        let stalled = self.way.lock().stalled;
        for position in endpoints.doubtful(Instant::now()) {
            let endpoint = endpoints.get(position);
            if let Some(trial) = endpoint.bodies().free_trial() {
                // Whoever waits is served elsewhere; a byte ends the doubt.
                drop(self.begin(trial, endpoint, position, part));
            }
        }
        endpoints
            .first_answer_after(stalled, deadline, |turn| async move {
                self.ask_turn(&turn, part).await
            })
            .await
    }

    /// An endpoint whose bodies are in doubt must show a byte soon. This download's own stall is
    /// another matter: asking once more is what tells.
    async fn ask_turn(&self, turn: &Turn<'_>, part: Part) -> Result<BlobBody, FetchError> {
        let position = self.upstream.endpoints()?.position(turn.endpoint());
        let Some(position) = position.filter(|_| turn.bodies().are_in_doubt()) else {
            return self.ask_endpoint(turn, part).await;
        };
        if self.way.lock().stalled == Some(position) {
            return self.ask_endpoint(turn, part).await;
        }
        let refused = || FetchError::Unreachable {
            upstream: turn.host().clone(),
            source: Cause::NoFirstByte(turn.bodies().refusal()),
        };
        let wait = FIRST_BYTE_WAIT.min(turn.deadline().left());
        let permit = timeout(wait, turn.bodies().trial()).await;
        let permit = permit.map_err(|_| refused())?;
        let Trial {
            heard,
            mut answer,
            deadline,
        } = self.begin(permit, turn.endpoint(), position, part);
        let first_byte = async {
            tokio::select! {
                biased;
                answer = &mut answer => return answer.ok(),
                () = heard.notified() => {}
            }
            timeout(FIRST_BYTE_WAIT, answer).await.ok()?.ok()
        };
        let answer = turn.deadline().bound_with(&deadline, first_byte).await;
        answer.flatten().unwrap_or_else(|| Err(refused()))
    }

    /// Asks for a part on a task of its own, which gives the body once its first byte is there. It
    /// goes on until then if nobody waits any longer: a slow upstream must be heard at last.
    fn begin(
        &self,
        permit: OwnedSemaphorePermit,
        endpoint: &Endpoint,
        position: usize,
        part: Part,
    ) -> Trial {
        let (sender, answer) = oneshot::channel();
        let (heard, deadline) = (Arc::new(Notify::new()), self.upstream.deadline());
        let mut source = self.clone();
        source.heard = Some(Arc::clone(&heard));
        let of_task = deadline.clone();
        endpoint.spawn(async move {
            let _ = sender.send(source.first_byte(position, part, of_task).await);
            drop(permit);
        });
        Trial {
            heard,
            answer,
            deadline,
        }
    }

    async fn first_byte(
        &self,
        position: usize,
        part: Part,
        deadline: Deadline,
    ) -> Result<BlobBody, FetchError> {
        let endpoint = self.upstream.endpoints()?.get(position);
        let turn = Turn::new(endpoint, deadline);
        let mut body = self.ask_endpoint(&turn, part).await?;
        let first = body.bytes.next().await.transpose()?;
        body.bytes = Box::pin(stream::iter(first.map(Ok)).chain(body.bytes));
        Ok(body)
    }

    async fn ask_endpoint(&self, endpoint: &Turn<'_>, part: Part) -> Result<BlobBody, FetchError> {
        if part.start() > 0 {
            return self.ask_once(endpoint, self.request(part), part).await;
        }
        let part = blob::first_question(endpoint, &self.repository, part);
        let error = match self.ask_once(endpoint, self.request(part), part).await {
            Err(error) => error,
            answer => return answer,
        };
        let Some(refusal) = blob::second_question(part, &error) else {
            return Err(error);
        };
        let mut whole = self.request(Part::Whole);
        // It is a repetition itself.
        whole.is_cold = false;
        let mut body = self.ask_once(endpoint, whole, Part::Whole).await?;
        endpoint
            .ranges()
            .refused(refusal, &self.repository, Instant::now());
        // What it announces beside the whole is no news after that.
        body.ranges = false;
        Ok(body)
    }

    async fn ask_once(
        &self,
        endpoint: &Turn<'_>,
        request: Request<'_>,
        part: Part,
    ) -> Result<BlobBody, FetchError> {
        let response = endpoint.ask(request).await?;
        if endpoint.is_redirected(&response) {
            let position = self.upstream.endpoints()?.position(endpoint.endpoint());
            self.remember(position.map(|endpoint| Store {
                endpoint,
                url: response.url().clone(),
            }));
        }
        self.body(endpoint, response, part)
    }

    /// The body of an answer. If it stalls, another endpoint is asked for the rest first, and no
    /// store that is known already.
    fn body(
        &self,
        turn: &Turn<'_>,
        response: Response,
        part: Part,
    ) -> Result<BlobBody, FetchError> {
        let position = self.upstream.endpoints()?.position(turn.endpoint());
        let way = Arc::clone(&self.way);
        let body = blob::body(turn, response, part)?;
        let pieces = body.bytes.inspect_err(move |error| {
            if error.is_stall() {
                *way.lock() = Way {
                    store: None,
                    stalled: position,
                };
            }
        });
        Ok(BlobBody {
            bytes: Box::pin(pieces),
            ..body
        })
    }

    fn request(&self, part: Part) -> Request<'_> {
        let mut request = blob::request(&self.repository, &self.digest, part);
        // The others are resumed by who asks for them.
        request.is_cold = part.start() == 0;
        request.heard.clone_from(&self.heard);
        request
    }

    fn remember(&self, store: Option<Store>) {
        self.way.lock().store = store;
    }
}
