//! Everything of Archway that talks.
//!
//! A request walks `server` -> `telemetry::access` -> `routes` -> `pull` -> `cache` and `upstream`. Arrows point that way only:
//! `pull` sees no type of the HTTP framework, `upstream` knows nothing of clients, `protocol` and `config` know nobody.

mod admin;
pub mod app;
pub mod cli;
pub mod client;
pub mod config;
pub mod crypto;
pub mod descriptors;
pub mod doctor;
pub mod hints;
pub mod inventory;
pub mod protocol;
pub mod pull;
pub mod routes;
mod server;
pub mod telemetry;
pub mod upstream;
