//! The parts of HTTP that both ends of the proxy share: request targets, hosts, header names,
//! ranges, `Accept`, `Link` and error bodies; and how often the log tells what one of them does.
//!
//! A name belongs here if two crates read or write it: the routes and the upstream client, or the
//! server and the command line. The crate refuses I/O, async and the configuration. It depends on
//! `manifest-model` alone; `config`, `upstream`, `server`, `proxy` and `archway` build on it.
//!
//! Read first: [`target`], the one parser of request paths, and [`host`], the name of a registry.

pub mod accept;
pub mod client_address;
pub mod error_body;
pub mod error_chain;
pub mod explanation;
pub mod forwarded;
pub mod headers;
pub mod host;
pub mod image_list;
pub mod image_name;
pub mod link;
pub mod official_name;
pub mod platform_request;
pub mod range;
pub mod target;
pub mod told;
