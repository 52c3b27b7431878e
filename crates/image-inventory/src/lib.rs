//! How much of every cached tag is stored, per platform: the whole image, a part of it, or nothing.
//!
//! Owns the survey of stored images, its filters and pages, and the counts for the metrics. Tags
//! and sizes come from the index, manifests from their files. Refuses to ask an upstream, and a
//! survey counts as no use: it keeps nothing from eviction. Where an image's manifest was never
//! pulled, its layers are unknown: it has no size and counts as absent.
//!
//! The admin listener lists images, housekeeping counts them, and the command line reads what the
//! admin listener sends.

mod attachment;
mod completeness;
mod detail;
mod eviction;
mod image;
mod index_walk;
mod listing;
mod moment;
mod part;
mod report;
mod stored;
#[cfg(test)]
mod support;
mod text;
mod totals;

pub use self::{
    attachment::Attachment,
    completeness::Completeness,
    detail::detail,
    eviction::eviction_class,
    image::Image,
    listing::{Listing, ListingQuery},
    moment::Moment,
    part::ImagePart,
    report::report,
    stored::stored,
    totals::{Totals, totals},
};
