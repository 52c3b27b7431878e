//! A body on its way out: piece by piece, with the faults that were laid on its request.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use super::error_response;
use super::log::Entry;
use crate::faults::{Cut, Fault, Gate};
use crate::images::Blob;
use crate::server::{Body, Connection, full};

/// The largest piece that is handed to the server at once.
const PIECE: u64 = 256 * 1024;
/// The largest piece when the rate is limited.
const SLOW_PIECE: u64 = 8 * 1024;

/// Everything the answer to one request depends on beside its content.
pub(super) struct Exchange {
    pub(super) entry: Arc<Entry>,
    pub(super) faults: Vec<Fault>,
    pub(super) connection: Connection,
}

impl Exchange {
    /// Waits at the gates before the headers.
    pub(super) async fn hold(&self) {
        for fault in &self.faults {
            match fault {
                Fault::HoldHeaders(gate) => gate.pass().await,
                Fault::Distance(time) => tokio::time::sleep(*time).await,
                _ => {}
            }
        }
    }

    /// `response` with the headers that faults add.
    pub(super) fn finish(&self, mut response: Response<Body>) -> Response<Body> {
        for fault in &self.faults {
            if let Fault::Header(name, value) = fault {
                response.headers_mut().insert(name.clone(), value.clone());
            }
        }
        self.entry.answered(response.status());
        response
    }

    /// The answer that a fault puts in the place of the real one, but for plain errors.
    pub(super) fn replaced(&self) -> Option<Response<Body>> {
        let mut faults = self.faults.iter();
        faults.find_map(|fault| match fault {
            Fault::Replace(kind, body) => {
                self.entry.add_sent(body.len());
                let mut response = Response::new(full(body.clone()));
                insert(&mut response, header::CONTENT_TYPE, kind);
                Some(response)
            }
            Fault::Page(status) => {
                let mut response = Response::new(full(Bytes::from_static(b"no such page\n")));
                *response.status_mut() = *status;
                insert(&mut response, header::CONTENT_TYPE, "text/plain");
                Some(response)
            }
            Fault::Redirect(to) => {
                let mut response = Response::new(full(Bytes::new()));
                *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
                insert(&mut response, header::LOCATION, to);
                Some(response)
            }
            _ => None,
        })
    }

    /// An answer with `blob` as its body, or without for a HEAD, and whole or in the range asked
    /// for.
    pub(super) fn send(&self, blob: Blob) -> Response<Body> {
        let source = Source::new(blob, &self.faults);
        let range = self.entry.header("range").strip_prefix("bytes=");
        let ignored = |fault: &Fault| matches!(fault, Fault::IgnoreRange);
        let range = range.filter(|_| !self.faults.iter().any(ignored));
        if let Some(refusal) = range.and_then(|text| self.refusal(text, source.size)) {
            return refusal;
        }
        let range = range.map(|text| source.range(text));
        let (from, to) = match range {
            Some(None) => return unsatisfiable(source.size),
            Some(Some(range)) => range,
            None => (0, source.size),
        };
        let said = range.map(|_| self.content_range(from, to, source.size));
        let to = range.map_or(to, |_| self.range_end(from, to));
        let mut response = if self.entry.method == http::Method::HEAD {
            Response::new(full(Bytes::new()))
        } else {
            Response::new(self.stream(source, from, to))
        };
        if let Some(said) = said {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let hides = |fault: &Fault| matches!(fault, Fault::HideRange);
            if !self.faults.iter().any(hides) {
                insert(&mut response, header::CONTENT_RANGE, &said);
            }
        }
        if !self
            .faults
            .iter()
            .any(|fault| matches!(fault, Fault::NoLength))
        {
            let length = (to - from).to_string();
            insert(&mut response, header::CONTENT_LENGTH, &length);
        }
        response
    }

    /// The refusal of a range that is asked for in this form.
    fn refusal(&self, text: &str, size: u64) -> Option<Response<Body>> {
        let (first, last) = text.split_once('-')?;
        let first: u64 = first.parse().ok()?;
        let is_closed = last.parse::<u64>().is_ok_and(|last| last < size);
        self.faults.iter().find_map(|fault| match fault {
            Fault::RefuseRange(from, status) if *from <= first => {
                Some(error_response(*status, "DENIED", "no ranges here"))
            }
            Fault::StrictRange if !is_closed => Some(unsatisfiable(size)),
            _ => None,
        })
    }

    /// What the headers say of a range, whatever is sent of it.
    fn content_range(&self, from: u64, to: u64, size: u64) -> String {
        let hides = |fault: &Fault| matches!(fault, Fault::HideSize);
        let size = if self.faults.iter().any(hides) {
            "*".to_owned()
        } else {
            size.to_string()
        };
        format!("bytes {from}-{}/{size}", to - 1)
    }

    /// Where the body of a range ends.
    fn range_end(&self, from: u64, to: u64) -> u64 {
        let mut faults = self.faults.iter();
        let early = faults.find_map(|fault| match fault {
            Fault::EndRangeAt(at) => Some(*at),
            _ => None,
        });
        early.map_or(to, |at| at.clamp(from, to))
    }

    fn stream(&self, source: Source, from: u64, to: u64) -> Body {
        let mut outgoing = Outgoing {
            source,
            offset: from,
            to,
            stops: Vec::new(),
            flips: Vec::new(),
            rate: None,
            connection: self.connection.clone(),
            entry: Arc::clone(&self.entry),
        };
        for fault in &self.faults {
            outgoing.apply(fault);
        }
        outgoing.stops.retain(|stop| stop.at() >= from);
        outgoing.stops.sort_by_key(Stop::at);
        let pieces = stream::unfold(outgoing, |mut outgoing| async move {
            let piece = outgoing.next().await?;
            Some((piece.map(Frame::data), outgoing))
        });
        StreamBody::new(pieces).boxed_unsync()
    }
}

fn insert(response: &mut Response<Body>, name: header::HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).expect("digits and letters");
    response.headers_mut().insert(name, value);
}

fn unsatisfiable(size: u64) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    insert(
        &mut response,
        header::CONTENT_RANGE,
        &format!("bytes */{size}"),
    );
    response
}

/// The bytes to send, longer or shorter than the blob where a fault says so.
struct Source {
    blob: Blob,
    size: u64,
}

impl Source {
    fn new(blob: Blob, faults: &[Fault]) -> Self {
        let mut size = blob.size();
        for fault in faults {
            match fault {
                Fault::Truncate(to) => size = *to,
                Fault::Extend(by) => size += by,
                _ => {}
            }
        }
        Self { blob, size }
    }

    fn piece(&self, offset: u64, most: u64) -> Bytes {
        let piece = self.blob.piece(offset, most);
        if piece.is_empty() {
            let fill = usize::try_from(most).expect("pieces are small");
            return vec![b'x'; fill].into();
        }
        piece
    }

    /// `first-last`, `first-` or `-suffix` as from and to.
    fn range(&self, text: &str) -> Option<(u64, u64)> {
        let (first, last) = text.split_once('-')?;
        let (from, to) = match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) => (first, (last + 1).min(self.size)),
            (Ok(first), Err(_)) => (first, self.size),
            (Err(_), Ok(suffix)) => (self.size.saturating_sub(suffix), self.size),
            (Err(_), Err(_)) => return None,
        };
        (from < to).then_some((from, to))
    }
}

/// A place in the body where something happens.
enum Stop {
    Hold(u64, Gate),
    Cut(u64, Cut),
}

impl Stop {
    fn at(&self) -> u64 {
        match self {
            Self::Hold(at, _) | Self::Cut(at, _) => *at,
        }
    }
}

struct Outgoing {
    source: Source,
    offset: u64,
    to: u64,
    /// In order of place; those passed are taken out.
    stops: Vec<Stop>,
    flips: Vec<u64>,
    rate: Option<u64>,
    connection: Connection,
    entry: Arc<Entry>,
}

impl Outgoing {
    fn apply(&mut self, fault: &Fault) {
        match fault {
            Fault::HoldBody(at, gate) => self.stops.push(Stop::Hold(*at, gate.clone())),
            Fault::Cut(at, how) => self.stops.push(Stop::Cut(*at, *how)),
            Fault::FlipBit(at) => self.flips.push(*at),
            Fault::Throttle(rate) => self.rate = Some(*rate),
            Fault::Status(_)
            | Fault::Page(_)
            | Fault::Replace(..)
            | Fault::Redirect(_)
            | Fault::Header(..)
            | Fault::HoldHeaders(_)
            | Fault::Distance(_)
            | Fault::Truncate(_)
            | Fault::Extend(_)
            | Fault::NoLength
            | Fault::IgnoreRange
            | Fault::HideSize
            | Fault::RefuseRange(..)
            | Fault::StrictRange
            | Fault::HideRange
            | Fault::EndRangeAt(_) => {}
        }
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        while self
            .stops
            .first()
            .is_some_and(|stop| stop.at() <= self.offset)
        {
            match self.stops.remove(0) {
                Stop::Hold(_, gate) => gate.pass().await,
                Stop::Cut(_, how) => {
                    self.connection.flushed().await;
                    if how == Cut::Rst {
                        self.connection.reset();
                    }
                    return Some(Err(io::ErrorKind::ConnectionAborted.into()));
                }
            }
        }
        if self.offset >= self.to {
            return None;
        }
        let end = self.stops.first().map_or(self.to, Stop::at).min(self.to);
        let largest = self.rate.map_or(PIECE, |_| SLOW_PIECE);
        let piece = self
            .source
            .piece(self.offset, largest.min(end - self.offset));
        let piece = self.with_flips(piece);
        if let Some(rate) = self.rate {
            let micros = piece.len() as u64 * 1_000_000 / rate;
            tokio::time::sleep(Duration::from_micros(micros)).await;
        }
        self.offset += piece.len() as u64;
        self.entry.add_sent(piece.len());
        Some(Ok(piece))
    }

    fn with_flips(&self, piece: Bytes) -> Bytes {
        let within = |flip: &u64| {
            let at = flip.checked_sub(self.offset)?;
            usize::try_from(at).ok().filter(|at| *at < piece.len())
        };
        let flips: Vec<usize> = self.flips.iter().filter_map(within).collect();
        if flips.is_empty() {
            return piece;
        }
        let mut bytes = piece.to_vec();
        for at in flips {
            bytes[at] ^= 1;
        }
        bytes.into()
    }
}
