//! The operator's window: the answers of the admin API as pages, in two languages.
//!
//! Each page is made of what one route of the API answers, so whatever the console shows a program
//! can have. Owns markup, words, look and the one script. Refuses to ask anything, to change
//! anything, and to know how a page is sent: `proxy` gathers the answers and sends the page.
//!
//! Names, annotations and the like are chosen by strangers. Templates escape them, and `shown` spells
//! out what would hide or reorder text.

mod amount;
mod assets;
mod block;
mod chart;
mod frame;
mod language;
mod link;
pub mod pages;
mod place;
mod shell;
mod shown;
#[cfg(test)]
mod tests;
mod text;

pub use self::{
    assets::{ASSETS, Asset},
    frame::{Answer, CONTENT_SECURITY_POLICY, HEADERS, Reader},
    language::Language,
    place::Place,
};
