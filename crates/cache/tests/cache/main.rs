//! The cache's promises, each by a test: see the head of the crate.

mod support;

mod eviction;
mod followers;
mod manifests;
mod restart;
