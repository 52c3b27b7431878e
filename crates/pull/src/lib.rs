//! Pulling through the cache: an answer from the cache where that is right, from an upstream where
//! it must be. Clients that ask for the same thing at the same time share one answer.
//!
//! [`Pull`] is the front; each part below owns its state. `resolver` decides which manifest goes
//! out, over `rules` (names answered from other names), `platforms` (children of indexes) and
//! `manifests` (those stored, and the upstream's). `blobs` finds or fills a blob with `fill`, and
//! `body` brings its bytes to the client, past the cache with `bypass` where the disk is full;
//! `nearby` is where content may be had without an upstream, `authority` the replica that is asked for tags; `freshness` is what a tag's age allows, `failures` keeps others from waiting for what was waited for in vain. `lists`
//! are tags and referrers, `attached` what was said about an image, `stock` what there is of one that
//! an offline upstream's store lacks. No type of the HTTP framework comes in here.
//!
//! Owns decisions about stored and fetched content, and the tasks that outlive a request. Refuses
//! requests and answers of HTTP (`proxy`), files (`cache`) and calls to registries (`upstream`).
//!
//! Links keep repositories apart. A blob or manifest is readable through a repository only if the
//! upstream has served it there, has served a manifest there that names it, or has confirmed it
//! when asked. Bytes that another repository has brought are never served for their digest alone.
//!
//! Work that others may wait for (a fetched manifest, a fill) runs on tasks of its own: it does not
//! end with the client that asked first.

mod announced;
mod answer;
mod attached;
mod authority;
mod blobs;
mod body;
mod bypass;
mod error;
mod failures;
mod fill;
mod flights;
mod foretell;
mod freshness;
mod front;
mod hint;
mod lists;
mod manifests;
mod metrics;
mod nearby;
mod platforms;
mod repository;
mod resolver;
mod rules;
mod stale_spells;
mod stock;
mod tasks;

pub use protocol::official_name::{official_name, repository_key};
pub use slots::Asker;

pub use self::{
    answer::{Client, Outcome, Served, Substitution},
    blobs::BlobAnswer,
    body::{BlobBody, BlobBytes, BodyError},
    error::PullError,
    freshness::{TagLife, TagState},
    front::Pull,
    hint::{Hint, PlatformRequest, Source},
    lists::{List, ListSource, PageQuery},
    metrics::PullMetrics,
    nearby::Nearby,
    platforms::choose_substitution,
    repository::Repository,
    stock::{Missing, Stock},
    tasks::Tasks,
};
