//! The meaning of requests, their answers, and the assembly of all parts.
//!
//! Owns the routes, the sources of platform hints, prefetch, the admin
//! routes and the life of the process between start and shutdown. Refuses command lines
//! (`archway`), sockets (`server`), and what is answered from where (`pull`).
//!
//! A request passes `server` -> `observe::access` -> `routes` -> `pull` -> `cache` and
//! `upstream`. `usage` notes the answer for `prefetch`; `housekeeping` runs beside.

mod admin;
pub mod app;
mod descriptors;
mod guard;
pub mod hints;
mod housekeeping;
mod listeners;
mod notices;
mod prefetch;
mod push_times;
mod reload;
pub mod routes;
pub mod telemetry;
mod usage;
mod wanted;
