//! What a request means, how it is answered, and the assembly of all parts.
//!
//! Owns the routes, platform hints, pulling through the cache, prefetch, the inventory of images,
//! the admin routes and the life of the process between start and shutdown. Refuses command lines
//! (`archway`), sockets (`server`), and how to talk to a registry (`upstream`).
//!
//! A request passes `server` -> `telemetry::access` -> `routes` -> `pull` -> `cache` and
//! `upstream`.

mod admin;
pub mod app;
pub mod descriptors;
pub mod hints;
pub mod inventory;
pub mod pull;
pub mod routes;
pub mod telemetry;
