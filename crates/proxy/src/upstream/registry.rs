//! The upstreams in use: made on first request, kept while used.

use std::sync::Arc;

use moka::sync::Cache;

use super::{EcrTokens, FetchError, Upstream};
use crate::{config::Upstreams, protocol::host::Host};

/// Upstreams kept at the same time. A pattern such as every ECR host can mean any number of them.
const MAX_UPSTREAMS: u64 = 1000;

/// All upstreams that may be asked, by name.
#[derive(Debug)]
pub struct Registry {
    config: Upstreams,
    known: Cache<Host, Arc<Upstream>>,
    ecr: Arc<EcrTokens>,
}

impl Registry {
    /// Nothing is contacted or built before it is asked for.
    pub fn new(config: Upstreams) -> Self {
        Self {
            config,
            known: Cache::new(MAX_UPSTREAMS),
            ecr: Arc::default(),
        }
    }

    /// The configuration this was made of.
    pub fn config(&self) -> &Upstreams {
        &self.config
    }

    /// The upstream `host`; `None` if it is not configured, and so not reachable.
    pub fn find(&self, host: &Host) -> Result<Option<Arc<Upstream>>, FetchError> {
        if let Some(known) = self.known.get(host) {
            return Ok(Some(known));
        }
        let Some(config) = self.config.find(host) else {
            return Ok(None);
        };
        let made = Arc::new(Upstream::new(host.clone(), config, &self.ecr)?);
        Ok(Some(self.known.get_with(host.clone(), || made)))
    }
}
