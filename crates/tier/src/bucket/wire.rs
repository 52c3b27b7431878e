//! The way of each request to the bucket: our own client, and its count by the kinds that cost.

use std::{pin::Pin, sync::Arc};

use http::Method;
use object_store::{
    ClientOptions,
    client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService},
};

use crate::metrics::{RequestKind, TierMetrics};

/// Connects each part of the library to the one client.
#[derive(Clone, Debug)]
pub(super) struct Wire(Arc<CountingClient>);

#[derive(Debug)]
struct CountingClient {
    client: reqwest::Client,
    metrics: TierMetrics,
}

/// What the library calls.
#[derive(Debug)]
struct CountingService(Arc<CountingClient>);

impl Wire {
    pub(super) fn new(client: reqwest::Client, metrics: TierMetrics) -> Self {
        Self(Arc::new(CountingClient { client, metrics }))
    }
}

impl HttpConnector for Wire {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(CountingService(Arc::clone(&self.0))))
    }
}

impl HttpService for CountingService {
    fn call<'service, 'call>(
        &'service self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'call>>
    where
        'service: 'call,
        Self: 'call,
    {
        let kind = kind(request.method(), request.uri().query().unwrap_or_default());
        Box::pin(async move {
            let CountingClient { client, metrics } = &*self.0;
            metrics.asked(kind);
            let answer = HttpService::call(client, request).await;
            let has_failed = match &answer {
                Ok(answer) => {
                    let status = answer.status();
                    status.is_server_error() || matches!(status.as_u16(), 400..=403 | 429)
                }
                Err(_) => true,
            };
            if has_failed {
                metrics.failed(kind);
            }
            answer
        })
    }
}

/// What the provider counts a request as.
fn kind(method: &Method, query: &str) -> RequestKind {
    let has = |name: &str| {
        query
            .split('&')
            .any(|pair| pair.split('=').next() == Some(name))
    };
    match *method {
        Method::GET if has("list-type") || has("uploads") || has("prefix") || has("comp") => {
            RequestKind::List
        }
        Method::GET | Method::HEAD => RequestKind::Get,
        Method::DELETE => RequestKind::Delete,
        _ if has("delete") => RequestKind::Delete,
        _ => RequestKind::Put,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_as_they_are_charged() {
        for (method, query, expected) in [
            (Method::GET, "", RequestKind::Get),
            (Method::HEAD, "", RequestKind::Get),
            (
                Method::GET,
                "list-type=2&prefix=blobs%2F",
                RequestKind::List,
            ),
            (Method::PUT, "partNumber=1&uploadId=a", RequestKind::Put),
            (Method::POST, "uploads", RequestKind::Put),
            (Method::POST, "uploadId=a", RequestKind::Put),
            (Method::POST, "delete", RequestKind::Delete),
            (Method::DELETE, "uploadId=a", RequestKind::Delete),
        ] {
            assert_eq!(kind(&method, query), expected, "{method} {query}");
        }
    }
}
