//! The stream of the admin listener: what changes, as server-sent events.

use std::collections::VecDeque;

use reqwest::Response;
use serde::de::DeserializeOwned;

use super::error::{ClientError, InvalidAnswer};

/// The longest frame: a list of all remembered events has a few MiB.
const MAX_FRAME: usize = 64 << 20;

/// A stream of one topic, whose frames are `T`. Dropping it leaves the stream.
#[derive(Debug)]
pub struct Watch<T> {
    response: Response,
    url: String,
    frames: Frames,
    due: VecDeque<T>,
}

impl<T: DeserializeOwned> Watch<T> {
    /// Of an answer that has just begun.
    pub(crate) fn new(response: Response, url: String) -> Self {
        Self {
            response,
            url,
            frames: Frames::default(),
            due: VecDeque::new(),
        }
    }

    /// The next frame. An end of the stream is an error: it goes on for as long as the server does.
    /// Cancel safe.
    pub async fn next(&mut self) -> Result<T, ClientError> {
        loop {
            if let Some(due) = self.due.pop_front() {
                return Ok(due);
            }
            let piece = self.response.chunk().await;
            let piece = piece.map_err(|error| self.invalid(error))?;
            let piece = piece.ok_or_else(|| self.invalid(InvalidAnswer::Ended))?;
            let frames = self.frames.read(&piece);
            for data in frames.map_err(|flaw| self.invalid(flaw))? {
                let frame = serde_json::from_str(&data);
                self.due
                    .push_back(frame.map_err(|error| self.invalid(error))?);
            }
        }
    }

    fn invalid(&self, flaw: impl Into<InvalidAnswer>) -> ClientError {
        ClientError::Invalid {
            url: self.url.clone(),
            source: flaw.into(),
        }
    }
}

/// What was read of a frame that has not ended.
#[derive(Debug, Default)]
struct Frames {
    /// A line that has not ended.
    line: Vec<u8>,
    data: String,
}

impl Frames {
    /// Reads on; the data of the frames that ended. Names and comments are passed over.
    fn read(&mut self, piece: &[u8]) -> Result<Vec<String>, InvalidAnswer> {
        let mut ended = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.len() + self.data.len() > MAX_FRAME {
                return Err(InvalidAnswer::TooLong);
            }
            if !part.ends_with(b"\n") {
                break;
            }
            let line = String::from_utf8_lossy(&self.line).into_owned();
            self.line.clear();
            let line = line.trim_end_matches(['\r', '\n']);
            if let Some(data) = line.strip_prefix("data:") {
                self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            } else if line.is_empty() && !self.data.is_empty() {
                ended.push(std::mem::take(&mut self.data));
            }
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "retry: 3000\n\nevent: events\ndata: {\"a\":1}\n\n: nothing new\n\nevent: \
                          events\r\ndata:{\"b\":\"\u{e9}\"}\r\n\r\ndata: cut";

    #[test]
    fn frames_are_read_wherever_the_pieces_end() {
        for size in 1..STREAM.len() {
            let mut frames = Frames::default();
            let pieces = STREAM.as_bytes().chunks(size);
            let read: Vec<_> = pieces
                .flat_map(|piece| frames.read(piece).unwrap())
                .collect();
            assert_eq!(
                read,
                ["{\"a\":1}", "{\"b\":\"\u{e9}\"}"],
                "pieces of {size}"
            );
        }
    }

    #[test]
    fn a_frame_without_an_end_is_refused() {
        let mut frames = Frames::default();
        let piece = vec![b'a'; MAX_FRAME / 2];
        assert!(frames.read(&piece).is_ok());
        assert!(frames.read(&piece).is_ok());
        assert!(matches!(frames.read(b"a"), Err(InvalidAnswer::TooLong)));
    }
}
