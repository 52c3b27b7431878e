//! An export: planned by manifests alone, so that its size is known before a layer is pulled; what it
//! then lacks is pulled, held from eviction from before the first byte on.
//!
//! A [`Request`] is drafted over a [`Supply`]: the stored manifests, and behind them those of the Archway
//! that runs on the directory ([`Running`]). Whatever turns out absent is known to the next draft, so the
//! last one counts on nothing that is not here.

mod chosen;
mod known;
mod request;
mod running;
mod supply;
mod target;
#[cfg(test)]
mod tests;

pub use self::{
    chosen::Chosen,
    request::{Draft, ExportPlanError, Lacking, OnMissing, Request},
    running::{Cause, Part, PartKind, PullError, Running},
    supply::Supply,
    target::{TargetError, fits},
};
