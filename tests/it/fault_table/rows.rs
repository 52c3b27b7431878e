//! The faults of the table, and how each sets in.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use integration_tests::faults::{Cut, Fault, Gate};
use integration_tests::images::OCI_MANIFEST;
use integration_tests::registry::DigestHeader;

/// One line of the table.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) strike: Strike,
    /// Whether the upstream does not answer at all: then only the first client may wait for it.
    pub(super) is_outage: bool,
}

/// Faults for content of a size.
type Faults = fn(u64) -> Vec<Fault>;

/// How a fault sets in.
#[derive(Clone)]
pub(super) enum Strike {
    /// On every request.
    Requests(Faults),
    /// The registry's port closes.
    Refuse,
    /// Its connections are reset.
    Reset,
    /// Its connections are never accepted.
    BlackHole,
    /// It is at a name that does not resolve.
    NoName,
    /// It shows a certificate for another name.
    WrongName,
    /// It redirects to a URL of its store whose time is over.
    ExpiredUrl,
    /// What it says of digests changes.
    Digests(DigestHeader),
    /// The token dies.
    Expire(Token),
    /// This on every HEAD.
    Heads(Fault),
    /// It redirects to its store, where this is laid on so many requests, or on all.
    Store(Faults, Option<usize>),
    /// It redirects to a store that accepts no connection.
    NoStore,
}

/// Whose token dies.
#[derive(Clone, Copy)]
pub(super) enum Token {
    Ecr,
    EcrPublic,
    /// One that the next ones follow without a word on how long they live.
    Timeless,
}

fn status(code: u16) -> Vec<Fault> {
    vec![Fault::Status(StatusCode::from_u16(code).expect("a status"))]
}

fn refuse_ranges(code: u16) -> Vec<Fault> {
    let status = StatusCode::from_u16(code).expect("a status");
    vec![Fault::RefuseRange(0, status)]
}

fn header(name: http::HeaderName, value: &str) -> Fault {
    Fault::Header(name, HeaderValue::from_str(value).expect("a header value"))
}

fn replace(kind: &'static str, body: impl Into<Bytes>) -> Vec<Fault> {
    vec![Fault::Replace(kind, body.into())]
}

/// Everything that can be laid on a request.
const REQUESTS: [(&str, Faults); 35] = [
    ("black hole after accept", |_| {
        vec![Fault::HoldHeaders(Gate::new())]
    }),
    ("stall after headers", |_| {
        vec![Fault::HoldBody(0, Gate::new())]
    }),
    ("stall in mid-body", stall),
    ("cut in mid-body", |size| {
        vec![Fault::Cut(size * 3 / 4, Cut::Fin)]
    }),
    ("reset in mid-body", |size| {
        vec![Fault::Cut(size * 3 / 4, Cut::Rst)]
    }),
    ("too short", |size| vec![Fault::Truncate(size * 3 / 4)]),
    ("too long", |_| vec![Fault::Extend(1000)]),
    ("wrong bytes", |size| vec![Fault::FlipBit(size * 3 / 4)]),
    ("wrong `Content-Length`", |size| {
        vec![header(header::CONTENT_LENGTH, &(size + 7).to_string())]
    }),
    ("no `Content-Length`", |_| vec![Fault::NoLength]),
    ("401", |_| {
        let challenge = header(header::WWW_AUTHENTICATE, "Basic realm=\"give me all\"");
        [status(401), vec![challenge]].concat()
    }),
    ("403, no permission", |_| status(403)),
    ("404", |_| status(404)),
    ("429", |_| status(429)),
    ("429, `Retry-After: 30`", |_| {
        [status(429), vec![header(header::RETRY_AFTER, "30")]].concat()
    }),
    ("429, `Retry-After` a Unix time", |_| {
        let long_ago = header(header::RETRY_AFTER, "1746136938");
        [status(429), vec![long_ago]].concat()
    }),
    ("405", |_| status(405)),
    ("406", |_| status(406)),
    ("408", |_| status(408)),
    ("421", |_| status(421)),
    ("425", |_| status(425)),
    ("416 to a range that ends beyond the blob", |_| {
        vec![Fault::StrictRange]
    }),
    ("403 to every range", |_| refuse_ranges(403)),
    ("501 to every range", |_| refuse_ranges(501)),
    ("206 without `Content-Range`", |_| vec![Fault::HideRange]),
    ("plain bytes said to be gzip", |_| {
        vec![header(header::CONTENT_ENCODING, "gzip")]
    }),
    ("500", |_| status(500)),
    ("502", |_| status(502)),
    ("503", |_| status(503)),
    ("redirect loop", |_| {
        vec![Fault::Redirect("/v2/round/and/round".to_owned())]
    }),
    ("redirect to a metadata address", |_| {
        let place = "http://169.254.169.254/latest/meta-data/iam/";
        vec![Fault::Redirect(place.to_owned())]
    }),
    ("redirect to a name that does not resolve", |_| {
        vec![Fault::Redirect("http://store.invalid/layer".to_owned())]
    }),
    ("garbage instead of JSON", |_| {
        replace(OCI_MANIFEST, "{\"schemaVersion\": 2, \"layers\": [")
    }),
    ("HTML instead of JSON", |_| {
        replace("text/html", "<html><body>Please sign in</body></html>")
    }),
    ("a manifest of 4 MiB + 1", |_| {
        let mut body = b"{\"schemaVersion\":2,\"config\":{},\"layers\":[]}".to_vec();
        body.resize(4 * 1024 * 1024 + 1, b' ');
        replace(OCI_MANIFEST, body)
    }),
];

fn heads(code: u16) -> Strike {
    Strike::Heads(Fault::Status(StatusCode::from_u16(code).expect("a status")))
}

/// As S3 throttles.
fn slow_down(_: u64) -> Vec<Fault> {
    status(503)
}

fn stall(size: u64) -> Vec<Fault> {
    vec![Fault::HoldBody(size * 3 / 4, Gate::new())]
}

/// All of them.
pub(super) fn all() -> Vec<Row> {
    let row = |name, strike, is_outage| Row {
        name,
        strike,
        is_outage,
    };
    let mut rows = vec![
        row("DNS failure", Strike::NoName, true),
        row("refused", Strike::Refuse, true),
        row("RST", Strike::Reset, true),
        row("black hole on connect", Strike::BlackHole, true),
        row("TLS with a wrong name", Strike::WrongName, true),
        row("redirect to an expired URL", Strike::ExpiredUrl, false),
        row(
            "lying digest header",
            Strike::Digests(DigestHeader::False),
            false,
        ),
        row(
            "missing digest header",
            Strike::Digests(DigestHeader::Never),
            false,
        ),
        row("403, expired (ECR)", Strike::Expire(Token::Ecr), false),
        row(
            "400, expired (ECR Public)",
            Strike::Expire(Token::EcrPublic),
            false,
        ),
        row(
            "tokens without `expires_in`",
            Strike::Expire(Token::Timeless),
            false,
        ),
        row("404 to every HEAD", heads(404), false),
        row("store: 503 once", Strike::Store(slow_down, Some(1)), false),
        row("store: 503", Strike::Store(slow_down, None), false),
        row(
            "store: stall in mid-body",
            Strike::Store(stall, None),
            false,
        ),
        row("store: black hole on connect", Strike::NoStore, false),
    ];
    for (name, faults) in REQUESTS {
        let is_outage = name == "black hole after accept";
        rows.push(row(name, Strike::Requests(faults), is_outage));
    }
    rows
}
