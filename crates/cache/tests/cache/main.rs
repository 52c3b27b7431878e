//! The cache's promises, each by a test: see the head of the crate.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the failure")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test awaits the tasks it spawns"
)]

mod admission;
mod support;

mod clients;
mod collect;
mod confirmations;
mod discarded;
mod eviction;
mod followers;
mod inspect;
mod learned;
mod manifests;
mod ranking;
mod restart;
mod small_disk;
mod snapshot;
mod survey;
