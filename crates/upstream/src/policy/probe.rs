//! Probes: asking an endpoint that failed whether it is back, before clients are sent there again.

use std::time::Duration;

use reqwest::Client;
use tokio::time::Instant;
use url::Url;

use super::health::ProbeGuard;
use crate::{
    error::{Cause, HttpError},
    transport,
};

/// Sends a GET to `url` and reports the result.
pub(crate) async fn run(probe: ProbeGuard, client: Client, url: Url, timeout: Duration) {
    let outcome = ask(client, url, timeout).await;
    probe.report(Instant::now(), outcome);
}

/// Succeeds with any answer but a server error: without credentials, a healthy registry answers
/// 401.
async fn ask(client: Client, url: Url, timeout: Duration) -> Result<(), Cause> {
    match tokio::time::timeout(timeout, transport::send(client.get(url))).await {
        Ok(Ok(response)) if response.status().is_server_error() => {
            Err(Cause::Status(response.status().as_u16()))
        }
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Cause::Http(HttpError::new(error))),
        Err(_) => Err(Cause::Timeout(timeout)),
    }
}
