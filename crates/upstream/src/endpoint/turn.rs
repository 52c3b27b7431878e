//! One endpoint's turn to answer, and how long it has.

use std::ops::Deref;

use bytes::Bytes;
use reqwest::Response;
use tally::Received;
use url::Url;

use super::{Endpoint, Request};
use crate::{
    error::FetchError,
    gather::{Gathered, Room},
    policy::{Deadline, Urgency},
};

/// An endpoint that is asked for one client until a deadline. All questions of clients go this way;
/// a prober asks without one.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    endpoint: &'a Endpoint,
    deadline: Deadline,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(endpoint: &'a Endpoint, deadline: Deadline) -> Self {
        Self { endpoint, deadline }
    }

    /// The endpoint, for longer than its turn.
    pub(crate) fn endpoint(&self) -> &'a Endpoint {
        self.endpoint
    }

    /// When the turn ends.
    pub(crate) fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    /// [`Self::ask_as`] for a client that has nothing.
    pub(crate) async fn ask(&self, request: Request<'_>) -> Result<Response, FetchError> {
        self.ask_as(Urgency::Pull, request).await
    }

    /// The answer, if it is a good one: 2xx or 304.
    pub(crate) async fn ask_as(
        &self,
        urgency: Urgency,
        request: Request<'_>,
    ) -> Result<Response, FetchError> {
        let endpoint = self.endpoint;
        endpoint.ask_as(urgency, request, &self.deadline).await
    }

    /// A part from a store that an earlier answer of this endpoint has redirected to.
    pub(crate) async fn ask_store(
        &self,
        url: &Url,
        request: &Request<'_>,
    ) -> Result<Response, FetchError> {
        let endpoint = self.endpoint;
        endpoint.ask_store(url, request, &self.deadline).await
    }

    /// A list, whole, which takes from the room that such bodies share.
    pub(crate) async fn gather(
        &self,
        response: Response,
        limit: usize,
        room: Option<&Room>,
    ) -> Result<Gathered, FetchError> {
        let endpoint = self.endpoint;
        let (deadline, of) = (&self.deadline, Received::List);
        endpoint.gather(response, limit, room, deadline, of).await
    }

    /// A manifest, whole.
    pub(crate) async fn read_body(
        &self,
        response: Response,
        limit: usize,
    ) -> Result<Bytes, FetchError> {
        let endpoint = self.endpoint;
        let (deadline, of) = (&self.deadline, Received::Manifest);
        endpoint.read_body(response, limit, deadline, of).await
    }
}

impl Deref for Turn<'_> {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        self.endpoint
    }
}
