//! The meaning of requests, their answers, and the assembly of all parts.
//!
//! Owns the routes, platform hints, pulling through the cache, prefetch, the inventory of images,
//! the admin routes and the life of the process between start and shutdown. Refuses command lines
//! (`archway`), sockets (`server`), and how to talk to a registry (`upstream`).
//!
//! A request passes `server` -> `telemetry::access` -> `routes` -> `pull` -> `cache` and
//! `upstream`. `usage` notes the answer for `prefetch`; `housekeeping` runs beside.

mod admin;
pub mod app;
pub mod descriptors;
pub mod hints;
mod housekeeping;
pub mod inventory;
mod prefetch;
pub mod pull;
mod push_times;
pub mod routes;
mod tasks;
pub mod telemetry;
mod usage;
