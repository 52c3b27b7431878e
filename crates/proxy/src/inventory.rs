//! What is here for each platform: of every cached tag, which images are whole, which in part, which not at all.
//!
//! Read from what is stored alone: no upstream is asked, and looking keeps nothing from being evicted. An image's manifest that
//! was never pulled tells nothing about its layers, so its size is unknown and it counts as absent.

mod attached;
mod descent;
mod image;
mod listing;
#[cfg(test)]
mod support;
mod totals;

pub use self::image::{seconds, stored};
pub use self::{
    attached::Attached,
    image::{Completeness, Image, Part},
    listing::{Listing, Request},
    totals::{Totals, totals},
};
