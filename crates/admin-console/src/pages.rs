//! The pages: each one function from the answers it shows.

mod about;
mod activity;
mod cache;
mod downloads;
mod explain;
mod image;
mod images;
mod overview;
mod platforms;
mod problem;
mod readiness;
mod upstreams;

pub use self::{
    about::about,
    activity::activity,
    cache::cache,
    downloads::downloads,
    explain::{Question, explain},
    image::image,
    images::{ImageList, ImageRow, PartRow, PartState, images},
    overview::overview,
    platforms::platforms,
    problem::problem,
    readiness::readiness,
    upstreams::upstreams,
};
