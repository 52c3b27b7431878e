//! What an operator sees of a running Archway.
//!
//! Owns what no other part needs: the events of late, a day's history, and the stream of both. All else
//! is gathered from the parts that own it when somebody asks, so that nobody who looks costs nothing.
//! Refuses to change anything, and to ask upstreams. `proxy` turns each answer into a route.
//!
//! What is counted is read from the text of the metrics, as any scraper reads it: the numbers of the
//! window and of the dashboards cannot differ.

mod cache_use;
mod clients;
mod counted;
mod events;
mod evictions;
mod fills;
mod history;
mod overview;
mod parts;
mod platforms;
mod stream;
mod survey;
mod troubles;
mod upstreams;

use std::sync::Arc;

use admin_api::{
    CacheUse, Clients, Configuration, Events, Evictions, Fills, History, Overview, Platforms,
    Topic, Upstreams,
};
use cache::CacheError;
use futures_util::Stream;

use self::parts::Parts;
pub use self::{events::EventRing, parts::WindowParts, stream::Viewers};

/// The window. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct Window {
    parts: Arc<Parts>,
    viewers: Viewers,
}

impl Window {
    /// A window on these parts, for so many viewers. Nothing is started.
    pub fn new(parts: WindowParts, viewers: Viewers) -> Self {
        Self {
            parts: Arc::new(Parts::new(parts)),
            viewers,
        }
    }

    /// Takes a point of the history each minute, for as long as it is polled.
    pub async fn keep_history(&self) {
        let parts = &self.parts;
        parts.past.keep(|| parts.count()).await;
    }

    /// Whether it is well, and what it is doing.
    pub fn overview(&self) -> Overview {
        overview::gather(&self.parts)
    }

    /// The downloads.
    pub async fn fills(&self) -> Fills {
        fills::gather(&self.parts).await
    }

    /// The upstreams in use.
    pub fn upstreams(&self) -> Upstreams {
        upstreams::gather(&self.parts)
    }

    /// The platforms that are asked for. Blocks.
    pub fn platforms(&self) -> Result<Platforms, CacheError> {
        platforms::gather(&self.parts)
    }

    /// How clients are known.
    pub fn clients(&self) -> Clients {
        clients::gather(&self.parts)
    }

    /// What the disk is used for. The first question has it counted, and later ones if that is long
    /// ago, in the background.
    pub fn cache_use(&self) -> CacheUse {
        cache_use::gather(&self.parts)
    }

    /// How full the cache is, and the first `limit` blobs that would leave.
    pub async fn evictions(&self, limit: usize) -> Result<Evictions, CacheError> {
        evictions::gather(&self.parts, limit).await
    }

    /// The events since that number, the latest first.
    pub fn events(&self, since: u64) -> Events {
        self.parts.events.since(since)
    }

    /// The configuration in force, without secrets.
    pub fn configuration(&self) -> Configuration {
        Configuration {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            toml: self.parts.config.current().to_toml(),
        }
    }

    /// The last day.
    pub fn history(&self) -> History {
        self.parts.past.told(self.parts.started)
    }

    /// What changes, as the text of server-sent events, until the program stops; `None` if there are as
    /// many viewers as there may be.
    pub fn stream(&self, topics: Vec<Topic>) -> Option<impl Stream<Item = String> + Send + use<>> {
        let seat = self.viewers.seat()?;
        Some(stream::frames(Arc::clone(&self.parts), seat, topics))
    }
}
