//! What both ends of the proxy share: how a request names things, header names, ranges, accepted types and error bodies.
//!
//! Pure: nothing here does I/O or knows the configuration.

pub mod accept;
pub mod error_body;
pub mod error_chain;
pub mod explanation;
pub mod forwarded;
pub mod headers;
pub mod host;
pub mod image_name;
pub mod link;
pub mod range;
pub mod target;
pub mod wish;
