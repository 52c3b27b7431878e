//! Asking an endpoint that failed whether it is back, before clients are sent there again.

use std::time::Duration;

use protocol::error_chain::ErrorChain;
use reqwest::Client;
use tokio::time::Instant;
use url::Url;

use super::{
    endpoint::Endpoint,
    error::{FetchError, Trouble},
    health::{Admission, Probe},
};

impl Endpoint {
    /// Returns once the endpoint may be asked, which is at once while all is well; an error, within a moment, while it is down.
    pub(super) async fn awake(&self) -> Result<(), FetchError> {
        let awake = self.health.awake(|probe| self.start(probe)).await;
        awake.map_err(|outage| self.unreachable(outage.trouble()))
    }

    /// Sets off a probe if it is time, and does not wait: somebody else is asked meanwhile.
    pub(super) fn look(&self) {
        if let Admission::Probe(probe, _) = self.health.admit(Instant::now()) {
            self.start(probe);
        }
    }

    /// The probe outlives the client that set it off.
    fn start(&self, probe: Probe) {
        let mut url = self.base.clone();
        url.set_path("/v2/");
        // As long as any call: a probe with less would keep a slow upstream out for ever.
        let patience = self.shared.header_timeout;
        let client = self.shared.client.clone();
        self.shared.tasks.spawn(run(probe, client, url, patience));
    }
}

/// Asks, and reports how it went.
pub(super) async fn run(probe: Probe, client: Client, url: Url, patience: Duration) {
    let outcome = ask(client, url, patience).await;
    probe.report(Instant::now(), outcome);
}

/// Any answer but a server error will do: without credentials a 401 is what a healthy registry says.
async fn ask(client: Client, url: Url, patience: Duration) -> Result<(), String> {
    match tokio::time::timeout(patience, client.get(url).send()).await {
        Ok(Ok(response)) if response.status().is_server_error() => {
            Err(Trouble::Status(response.status().as_u16()).to_string())
        }
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(ErrorChain(&error.without_url()).to_string()),
        Err(_) => Err(Trouble::Timeout(patience).to_string()),
    }
}
