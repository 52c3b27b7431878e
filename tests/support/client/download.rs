//! A body that is read as the test likes.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, Version};

use super::Answer;
use crate::images::Blob;
use crate::wait::within;

/// An answer whose body is under way. Dropping it closes the connection in the middle.
#[derive(Debug)]
pub struct Download {
    response: reqwest::Response,
    received: u64,
}

/// How a body ended, and after how many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As announced.
    Complete(u64),
    /// The connection broke first.
    Broken(u64),
}

impl Download {
    pub(super) fn new(response: reqwest::Response) -> Self {
        Self {
            response,
            received: 0,
        }
    }

    /// The status that came with the headers.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The version of HTTP it came by.
    pub fn version(&self) -> Version {
        self.response.version()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// How much of the body was read.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Some more of the body: nothing at its end, an error where it broke.
    async fn piece(&mut self) -> Result<Option<Bytes>, reqwest::Error> {
        let piece = self.response.chunk().await?;
        self.received += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Ok(piece)
    }

    /// The whole body; panics where it breaks.
    pub async fn whole(mut self) -> Answer {
        let mut body = BytesMut::new();
        let (status, headers) = (self.status(), self.headers().clone());
        loop {
            match self.piece().await {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => break,
                Err(error) => panic!("body broke after {} bytes: {error:?}", self.received),
            }
        }
        Answer {
            status,
            headers,
            body: body.freeze(),
        }
    }

    /// Reads on until the text that came since the last call holds `wanted`; all of that text.
    pub async fn text_until(&mut self, wanted: &str) -> String {
        let mut text = String::new();
        while !text.contains(wanted) {
            let piece = within(wanted, self.piece()).await;
            let piece = piece.expect("an unbroken body");
            let piece = piece.unwrap_or_else(|| panic!("the body ended before {wanted}: {text}"));
            text.push_str(&String::from_utf8_lossy(&piece));
        }
        text
    }

    /// Reads at least to `target`, checking each byte against `blob`, of which the body starts at
    /// `offset`.
    pub async fn read_to(&mut self, target: u64, blob: &Blob, offset: u64) {
        while self.received < target {
            let at = offset + self.received;
            let piece = within("more of the body arrives", self.piece()).await;
            let piece = piece.expect("an unbroken body");
            let piece = piece.unwrap_or_else(|| panic!("the body ended at {at}"));
            assert!(blob.holds_at(at, &piece), "wrong bytes from {at} on");
        }
    }

    /// Like [`Self::read_to`] from the blob's start, with an end or a break before `target` as an
    /// answer: false.
    pub async fn try_read_to(&mut self, target: u64, blob: &Blob) -> bool {
        while self.received < target {
            let at = self.received;
            let Ok(Some(piece)) = self.piece().await else {
                return false;
            };
            assert!(blob.holds_at(at, &piece), "wrong bytes from {at} on");
        }
        true
    }

    /// Reads to the end, however it comes, checking each byte against `blob`.
    pub async fn finish(mut self, blob: &Blob) -> End {
        loop {
            let at = self.received;
            match self.piece().await {
                Ok(Some(piece)) => {
                    assert!(blob.holds_at(at, &piece), "wrong bytes from {at} on");
                }
                Ok(None) => return End::Complete(self.received),
                Err(_) => return End::Broken(self.received),
            }
        }
    }

    /// Reads to the end, however it comes, checking each byte against `blob`: how it ended, and the
    /// longest time without a byte.
    pub async fn finish_with_pause(mut self, blob: &Blob) -> (End, Duration) {
        let (mut longest, mut last) = (Duration::ZERO, Instant::now());
        loop {
            let at = self.received;
            let piece = self.piece().await;
            longest = longest.max(last.elapsed());
            last = Instant::now();
            match piece {
                Ok(Some(piece)) => {
                    assert!(blob.holds_at(at, &piece), "wrong bytes from {at} on");
                }
                Ok(None) => return (End::Complete(self.received), longest),
                Err(_) => return (End::Broken(self.received), longest),
            }
        }
    }

    /// Reads to the end, however it comes: how it ended, and whether all bytes were those of
    /// `blob`.
    pub async fn finish_unsure(mut self, blob: &Blob) -> (End, bool) {
        let mut is_right = true;
        loop {
            let at = self.received;
            match self.piece().await {
                Ok(Some(piece)) => is_right &= blob.holds_at(at, &piece),
                Ok(None) => return (End::Complete(self.received), is_right),
                Err(_) => return (End::Broken(self.received), is_right),
            }
        }
    }

    /// Reads to the end, however it comes, and looks at nothing.
    pub async fn drain(mut self) -> End {
        loop {
            match self.piece().await {
                Ok(Some(_)) => {}
                Ok(None) => return End::Complete(self.received),
                Err(_) => return End::Broken(self.received),
            }
        }
    }

    /// Reads so many bytes a second, checking them, for as long as it is polled.
    pub async fn crawl(&mut self, rate: u64, blob: &Blob) -> End {
        loop {
            let at = self.received;
            match self.piece().await {
                Ok(Some(piece)) => {
                    assert!(blob.holds_at(at, &piece), "wrong bytes from {at} on");
                    let millis = piece.len() as u64 * 1000 / rate;
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                }
                Ok(None) => return End::Complete(self.received),
                Err(_) => return End::Broken(self.received),
            }
        }
    }
}
