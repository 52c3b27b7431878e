//! A forward proxy (`HTTP_PROXY`, `HTTPS_PROXY`) that forwards nothing: who asks gets a 502, and is
//! written down.

use futures_util::FutureExt;
use http::{Response, StatusCode};

use crate::registry::log::RequestLog;
use crate::server::{Server, full};

/// A running one; clones are the same one.
#[derive(Clone)]
pub struct ForwardProxy {
    server: Server,
    log: RequestLog,
}

impl ForwardProxy {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let log = RequestLog::default();
        let entries = log.clone();
        let server = Server::start(move |request, _| {
            let entry = entries.record("proxy", &request);
            let mut response = Response::new(full("it forwards nothing"));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            entry.answered(response.status());
            std::future::ready(response).boxed()
        })
        .await;
        Self { server, log }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// What was asked of it.
    pub fn log(&self) -> &RequestLog {
        &self.log
    }
}
