//! A page for what could not be answered.

use crate::{
    block::{Block, Page, Sentence, Tone},
    frame::{Answer, Reader},
};

/// A page that says why there is none. The reason is the server's.
pub fn problem(reader: &Reader, reason: &str) -> Answer {
    reader.frame(Page {
        title: reader.text().common.problem.to_owned(),
        lead: vec![Block::Sentence(Sentence {
            tone: Tone::Bad,
            text: reason.trim_end().to_owned(),
        })],
        ..Page::default()
    })
}
