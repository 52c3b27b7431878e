//! The nodes of the Kubernetes cluster that Archway serves: which address is which node's, and what
//! platforms they have; and pods on them, by which their runtimes prove where they pull from.
//!
//! Owns the table of nodes, its bounds, its metrics, and the watch that keeps it true. Refuses what
//! follows from it: hints, downloads ahead and reports are their users'. Nothing waits for the API: a
//! look-up reads the table as it is, and a cluster that does not answer leaves it so.
//!
//! The client of the API is the feature `kubernetes`. Without it the list is there and empty.

#![cfg_attr(
    not(feature = "kubernetes"),
    expect(dead_code, reason = "only the client of the API fills the list")
)]

#[cfg(feature = "kubernetes")]
mod api;
mod back_off;
mod census;
mod error;
mod list;
mod metrics;
mod node;
pub mod pods;
mod pulls;
mod report;
mod table;
mod taint;
mod watch;

pub use self::{
    census::NodeCount,
    error::ClusterError,
    list::{ListedNode, NodeList},
    metrics::NodeMetrics,
    node::{Node, NodeFacts},
    pulls::KubeletPull,
    report::{Moment, NodeReport, ReportedNode, ReportedPlatform},
    taint::{StartupTaint, TaintWatch, Tainted},
    watch::NodeWatch,
};
