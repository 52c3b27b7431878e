//! What the origin says to a request, before the bytes of the body.

use super::State;
use crate::content::{MANIFEST_TYPE, Object, TAG};

/// A request, as far as it matters.
pub(super) struct Ask<'a> {
    pub(super) path: &'a str,
    pub(super) range: Option<&'a str>,
    pub(super) if_range: Option<&'a str>,
}

/// A head, and the part of an object that follows it.
pub(super) struct Answer {
    pub(super) head: String,
    pub(super) body: Option<Part>,
}

pub(super) struct Part {
    pub(super) object: Object,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) is_blob: bool,
}

impl Answer {
    pub(super) fn to(ask: &Ask, state: &State) -> Self {
        let last = ask.path.rsplit('/').next().unwrap_or_default();
        if ask.path == "/v2/" {
            return Self::empty("200 OK", "");
        }
        if ask.path.contains("/manifests/") {
            let manifest = &state.manifest;
            if last == TAG || last == manifest.digest.to_string() {
                return Self::whole(manifest, MANIFEST_TYPE, false);
            }
        }
        let mut blobs = state.blobs.iter();
        let blob = blobs.find(|blob| blob.digest.to_string() == last);
        match blob {
            Some(blob) if ask.path.contains("/blobs/") => Self::blob(blob, ask),
            _ => Self::empty("404 Not Found", ""),
        }
    }

    fn blob(blob: &Object, ask: &Ask) -> Self {
        let tag = format!("\"{}\"", blob.digest);
        let same = ask.if_range.is_none_or(|wanted| wanted == tag);
        let Some(range) = ask.range.filter(|_| same) else {
            return Self::whole(blob, "application/octet-stream", true);
        };
        let size = blob.len();
        let Some((from, to)) = stretch(range, size) else {
            return Self::empty(
                "416 Range Not Satisfiable",
                &format!("Content-Range: bytes */{size}\r\n"),
            );
        };
        let extra = format!("Content-Range: bytes {from}-{}/{size}\r\n", to - 1);
        Self::part(
            "206 Partial Content",
            "application/octet-stream",
            &extra,
            Part {
                object: blob.clone(),
                from,
                to,
                is_blob: true,
            },
        )
    }

    fn whole(object: &Object, media_type: &str, is_blob: bool) -> Self {
        Self::part(
            "200 OK",
            media_type,
            "",
            Part {
                object: object.clone(),
                from: 0,
                to: object.len(),
                is_blob,
            },
        )
    }

    fn part(status: &str, media_type: &str, extra: &str, part: Part) -> Self {
        let digest = part.object.digest;
        let length = part.to - part.from;
        Self {
            head: format!(
                "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\
                 Docker-Content-Digest: {digest}\r\nETag: \"{digest}\"\r\nAccept-Ranges: bytes\r\n{extra}\r\n"
            ),
            body: Some(part),
        }
    }

    fn empty(status: &str, extra: &str) -> Self {
        let head = format!(
            "HTTP/1.1 {status}\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Length: 0\r\n{extra}\r\n"
        );
        Self { head, body: None }
    }
}

/// First and one past the last byte of `bytes=a-b` or `bytes=a-`; `None` where nothing of it is
/// there.
fn stretch(range: &str, size: u64) -> Option<(u64, u64)> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let from = from.parse().ok()?;
    let to = match to {
        "" => size,
        last => size.min(last.parse::<u64>().ok()?.checked_add(1)?),
    };
    (from < to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_what_is_there() {
        assert_eq!(stretch("bytes=0-", 10), Some((0, 10)));
        assert_eq!(stretch("bytes=3-5", 10), Some((3, 6)));
        assert_eq!(stretch("bytes=3-99", 10), Some((3, 10)));
        assert_eq!(stretch("bytes=10-", 10), None);
        assert_eq!(stretch("bytes=5-3", 10), None);
    }
}
