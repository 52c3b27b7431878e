//! Archway as a running binary against real servers: a file per promise, and the names state the rules.

mod admin;
mod aws_identity;
mod coalescing;
mod config;
mod conformance;
mod credentials;
mod discovery;
mod doctor;
mod errors;
mod eviction;
mod freshness;
mod integrity;
mod isolation;
mod platform_hints;
mod platform_vectors;
mod platforms;
mod pull;
mod push;
mod ranges;
mod restart;
mod routing;
mod shutdown;
mod tls_hello;
mod token_rotation;
mod upstream_auth;
mod upstream_faults;
