//! What the integration tests are made of: real servers that play the upstream registry, its object
//! store, its token service and the AWS API, and drivers for Archway as a process and for its
//! clients.
//!
//! Nothing here is a mock: every double listens on a loopback port, speaks HTTP and can be told to
//! misbehave ([`faults`]). Waiting is always for a condition with a deadline ([`wait`]), never for
//! time. A tool or binary that is missing is a panic that says how to get it.

pub mod auth;
pub mod aws;
pub mod bucket;
pub mod client;
pub mod dead_end;
pub mod faults;
pub mod forward_proxy;
pub mod images;
pub mod kube_api;
pub mod proxy;
pub mod registry;
pub mod schema;
pub mod server;
pub mod tls;
pub mod tls_front;
pub mod usage;
pub mod vectors;
pub mod wait;
