//! The wish list of an offline site: which images clients asked for that are not here, how often and
//! when last.
//!
//! The list leaves the site, and a person reads it. So it has names of images and platforms, in the
//! grammar of [`protocol::image_list`], counts and days, and nothing of any client. It has a bound:
//! beyond 10,000 names, what was wished for most rarely, and of that longest ago, goes. Its
//! order is that of the names.
//!
//! Owns the list and its file. Refuses to judge what is here, who may ask for what, and when the file
//! is written: the caller does. What was noted after the last [`Wishes::save`] is lost with a crash.

mod file;
mod table;
mod wish;

pub use self::{
    file::{FileError, Wishes},
    wish::{Wish, WishList},
};
