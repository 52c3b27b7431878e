//! Base URLs of registries and APIs: a scheme, a host, perhaps a port, and nothing else.

use protocol::host::Host;
use url::Url;

use crate::meaning::{Meaning, Wrong};

/// The name of Docker Hub's images is not the host of its registry.
const HUB: (&str, &str) = ("docker.io", "https://registry-1.docker.io");

/// An `http` or `https` URL without path, query, fragment or credentials.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Endpoint(pub(super) Url);

/// The URL of a registry for which the file names none.
pub(super) fn default(host: &Host) -> Url {
    let text = if host.as_str() == HUB.0 {
        HUB.1.to_owned()
    } else {
        format!("https://{host}")
    };
    text.parse().expect("a Host fits into a URL")
}

/// The URL as people write it, without the slash that parsing adds.
pub(super) fn text(url: &Url) -> String {
    url.origin().ascii_serialization()
}

impl Meaning for Endpoint {
    const WHAT: &'static str = "the URL of a registry or an API";
    const EXAMPLE: &'static str = "\"https://registry-1.docker.io\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        read(text).map_err(|wrong| {
            if may_hold_a_secret(text) {
                wrong.secret()
            } else {
                wrong
            }
        })
    }
}

/// The text before an `@` or behind a `?` is a password or a token, whatever else is wrong.
fn may_hold_a_secret(text: &str) -> bool {
    text.contains(['@', '?'])
}

fn read(text: &str) -> Result<Endpoint, Wrong> {
    if !text.contains("://") {
        let wrong = Wrong::new("the scheme is missing");
        return Err(if may_hold_a_secret(text) {
            wrong
        } else {
            wrong.help(format!("write \"https://{text}\""))
        });
    }
    let url: Url = text.parse().map_err(Wrong::new)?;
    if !matches!(url.scheme(), "http" | "https") {
        let wrong = Wrong::new(format!("`{}` is not supported", url.scheme()));
        return Err(wrong.help("use https:// or http://"));
    }
    let wrong = if !url.username().is_empty() || url.password().is_some() {
        "credentials do not belong in a URL: use `auth`"
    } else if url.query().is_some() || url.fragment().is_some() {
        "an endpoint has no query and no fragment"
    } else if url.path() != "/" {
        "an endpoint has no path: /v2/ is added"
    } else {
        return Ok(Endpoint(url));
    };
    Err(Wrong::new(wrong).help(format!("write \"{}\"", self::text(&url))))
}
