//! Lists of tags and referrers: one call upstream and one buffer for all who ask for the same page at
//! the same time.
//!
//! Owns the flights of lists and the room that all of them have. A list grows at any moment, so it is
//! answered from what is known here only while the upstream cannot be asked, and says so; of an
//! offline upstream, from what is stored.

mod known;

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use cache::{Cache, RepoKey};
use config::LISTS_HELD;
use parking_lot::Mutex;
use protocol::error_chain::ErrorChain;
use slots::Slots;
use tracing::info;
use upstream::{FetchError, Gathered, Listing, ListingKind, Room};

use self::known::Known;
pub use self::known::PageQuery;
use crate::{
    PullError, Repository, attached::Question, flights::Flights, resolver::rest_of_confirmation,
    tasks::Tasks,
};

/// A page above this is compared with an equal one that is still being sent.
const WORTH_SHARING: usize = 64 * 1024;

/// One page of a list.
type PageKey = (RepoKey, ListingKind, Option<String>);

/// One page of a list, for a client.
#[derive(Clone, Debug)]
pub struct List {
    /// The body; all who got it share one buffer.
    pub body: Bytes,
    /// The query of the next page, if there is one.
    pub next: Option<String>,
    /// The filters that were applied, as `OCI-Filters-Applied` has them.
    pub filters: Option<String>,
    /// Whether it is the upstream's, or what is known here.
    pub source: ListSource,
}

/// Where a list came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListSource {
    /// The upstream, just now.
    Upstream,
    /// What is known here, while the upstream cannot be asked. It said so that long ago, if it ever
    /// said it as a whole.
    Known(Option<Duration>),
    /// What is stored of an offline upstream, which is all there is.
    Stored,
}

/// The lists of all upstreams.
#[derive(Debug)]
pub(super) struct Lists {
    cache: Cache,
    known: Known,
    flights: Flights<PageKey, Result<Listing, PullError>>,
    /// The slots of calls upstream.
    calls: Slots,
    room: Room,
    sending: Arc<Sending>,
}

/// Large pages that clients are being sent. A slow client holds its page, however many there are.
#[derive(Debug, Default)]
struct Sending(Mutex<HashMap<PageKey, Weak<Gathered>>>);

/// A handle to a body that others hold too.
struct Shared(Arc<Gathered>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

impl From<Listing> for List {
    fn from(page: Listing) -> Self {
        Self {
            body: Bytes::from_owner(Shared(page.body)),
            next: page.next,
            filters: page.filters,
            source: ListSource::Upstream,
        }
    }
}

impl Lists {
    pub(super) fn new(cache: Cache, calls: Slots, tasks: Tasks) -> Self {
        Self {
            known: Known::new(cache.clone()),
            cache,
            flights: Flights::new(tasks),
            calls,
            room: Room::of(usize::try_from(LISTS_HELD).unwrap_or(usize::MAX)),
            sending: Arc::default(),
        }
    }

    /// One page of tags or referrers: the upstream's, or while that cannot be asked, what is known
    /// here of it.
    pub(super) async fn page(
        &self,
        repository: &Repository,
        kind: ListingKind,
        query: &PageQuery,
    ) -> Result<List, PullError> {
        if repository.upstream.is_offline() {
            return self.known.stored(repository, kind, query).await;
        }
        let asked_for = self.flights.under_way(&page_key(repository, kind, query));
        let asked = self.ask(repository, kind, query);
        let answer = if self.known.has(repository, kind, query) {
            // The call goes on for those who come later.
            tokio::time::timeout(rest_of_confirmation(asked_for), asked)
                .await
                .ok()
        } else {
            Some(asked.await)
        };
        let problem = match answer {
            Some(Err(problem)) if problem.is_trouble() => Some(problem),
            Some(answer) => return answer.map(List::from),
            None => None,
        };
        let known = self.known.page(repository, kind, query).await;
        match (known, problem) {
            (Some(known), problem) => {
                if let Some(problem) = problem {
                    info!(error = %ErrorChain(&problem), repository = %repository.key, "answering a list from what is known here");
                }
                known
            }
            (None, Some(problem)) => Err(problem),
            // What was known is gone since.
            (None, None) => self.ask(repository, kind, query).await.map(List::from),
        }
    }

    async fn ask(
        &self,
        repository: &Repository,
        kind: ListingKind,
        query: &PageQuery,
    ) -> Result<Listing, PullError> {
        let key = page_key(repository, kind, query);
        let work = || {
            let (repository, query, key) = (repository.clone(), query.clone(), key.clone());
            let (cache, room) = (self.cache.clone(), self.room.clone());
            let sending = Arc::clone(&self.sending);
            async move {
                let (upstream, name) = (&repository.upstream, &repository.name);
                let (passed, deadline) = (query.passed.as_deref(), repository.deadline());
                let answer = upstream.list(name, kind, passed, &room, deadline).await;
                if let ListingKind::Referrers(subject) = kind {
                    keep(&cache, &repository, subject, &query, &answer).await;
                }
                Ok(sending.share(key, answer?))
            }
        };
        let seat = Some(repository.seat(&self.calls));
        let deadline = repository.deadline();
        let page = self.flights.join(key.clone(), seat, deadline, work).await;
        page.unwrap_or_else(|missed| Err(repository.without_result(missed)))
    }
}

fn page_key(repository: &Repository, kind: ListingKind, query: &PageQuery) -> PageKey {
    (repository.key.clone(), kind, query.passed.clone())
}

/// Keeps a list of referrers that came whole, or that there is none.
async fn keep(
    cache: &Cache,
    repository: &Repository,
    subject: manifest_model::Digest,
    query: &PageQuery,
    answer: &Result<Listing, FetchError>,
) {
    if !query.is_first() {
        return;
    }
    let filter = query.artifact_type.as_deref();
    match answer {
        Ok(page) if page.next.is_none() => {
            // What came in spite of the filter is the whole list.
            let filter = filter.filter(|_| page.filters.is_some());
            let body = Bytes::copy_from_slice((*page.body).as_ref());
            let question = Question::of_referrers(subject, filter);
            question.keep(cache, repository, Some(body)).await;
        }
        Err(FetchError::NotFound {
            from_fallback: false,
            ..
        }) => {
            let question = Question::of_referrers(subject, filter);
            question.keep(cache, repository, None).await;
        }
        _ => {}
    }
}

impl Sending {
    /// The page, in the buffer of an equal one that is still being sent.
    fn share(&self, key: PageKey, mut page: Listing) -> Listing {
        if (*page.body).as_ref().len() <= WORTH_SHARING {
            return page;
        }
        let mut sending = self.0.lock();
        let earlier = sending.get(&key).and_then(Weak::upgrade);
        let is_equal = |earlier: &Arc<Gathered>| (**earlier).as_ref() == (*page.body).as_ref();
        if let Some(earlier) = earlier.filter(is_equal) {
            page.body = earlier;
        } else {
            // The room bounds how many are left.
            sending.retain(|_, body| body.strong_count() > 0);
            sending.insert(key, Arc::downgrade(&page.body));
        }
        page
    }
}
