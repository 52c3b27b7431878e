//! `archway explain [--as HEADER]... REF`: the decision behind an answer.

use std::fmt::Write;

use clap::Args;
use client::{Server, accepting};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use manifest_model::MediaType;
use protocol::{
    explanation::{Explanation, TagAge},
    headers::ARCHWAY_EXPLAIN,
    image_name::ImageName,
};
use serde::Serialize;
use serde_json::Value;
use terminal::table::Table;

use super::{Format, ServerArgs, or_dash};
use crate::cli::output::{CommandOutput, Exit, Failure, json};

/// Explain the answer of a running Archway for an image: hints, mode and the chosen entry
#[derive(Debug, Args)]
#[command(after_help = "\
The request does not count as a use of the image.

Exit codes: 0 the image is served; 1 it is not, or no answer came; 2 the configuration is not valid.

Examples:
  archway explain docker.io/library/busybox
  archway explain --as 'Archway-Platform: linux/arm64' docker.io/library/busybox
  archway explain --as 'User-Agent: cri-o/1.33.2 go/go1.24.4 os/linux arch/arm64' team/app:v1")]
pub(crate) struct Explain {
    #[arg(
        help = "Image to ask for: [HOST/]REPOSITORY[:TAG|@DIGEST] [default tag: latest]",
        value_name = "REF"
    )]
    image: ImageName,
    /// Header of the client in question, repeatable; Accept defaults to that of current clients
    #[arg(long = "as", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

impl Explain {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        self.server
            .ask(async |_, server| self.explain(server).await)
    }

    async fn explain(&self, server: &Server) -> Result<CommandOutput, Failure> {
        let reference = &self.image.reference;
        let answer = server.look(&self.image, reference, self.request()).await?;
        let explanation = answer.header(&ARCHWAY_EXPLAIN);
        let succeeded = answer.status.is_success();
        let explained = Explained {
            name: server.named(&self.image).to_string(),
            status: answer.status.as_u16(),
            digest: answer
                .digest()
                .filter(|_| succeeded)
                .map(|digest| digest.to_string()),
            error: (!succeeded).then(|| answer.message()),
            detail: Some(answer.detail()).filter(|detail| !detail.is_null()),
            explanation: explanation.and_then(|text| serde_json::from_str(text).ok()),
        };
        let out = match self.output {
            Format::Json => json(&explained),
            Format::Text => explained.text(),
        };
        let exit = if succeeded {
            Exit::Success
        } else {
            Exit::Negative
        };
        Ok(CommandOutput::new(out, exit))
    }

    fn request(&self) -> HeaderMap {
        let mut headers = if self.headers.iter().any(|(name, _)| *name == header::ACCEPT) {
            HeaderMap::new()
        } else {
            accepting(MediaType::MANIFESTS)
        };
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        headers.insert(ARCHWAY_EXPLAIN, HeaderValue::from_static("1"));
        headers
    }
}

/// An answer of the server, with the explanation if it sent one.
#[derive(Serialize)]
struct Explained {
    name: String,
    status: u16,
    digest: Option<String>,
    error: Option<String>,
    /// What the error body says beside its message.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Value>,
    explanation: Option<Explanation>,
}

impl Explained {
    fn text(&self) -> String {
        let mut page = String::new();
        if let Some(error) = &self.error {
            let _ = writeln!(page, "{}: {} {error}", self.name, self.status);
            let detail = self.detail.as_ref();
            page.push_str(&detail.map_or_else(String::new, |detail| cause(detail, error)));
        }
        let Some(explanation) = &self.explanation else {
            return page;
        };
        if self.error.is_none() {
            let (answer, why) = (&explanation.answer, &explanation.why);
            let _ = writeln!(page, "{}: {answer}, because {why}", self.name);
        }
        if let Some(digest) = &self.digest {
            let _ = writeln!(page, "digest: {digest}");
        }
        if explanation.offline {
            let upstream = &explanation.upstream;
            let _ = writeln!(page, "{upstream} is offline: answered from what is stored");
        }
        page.push_str(&explanation.tag.as_ref().map_or_else(String::new, age));
        if let Some(rule) = &explanation.rule {
            let _ = writeln!(page, "rule: {} of {}", rule.key, rule.sources.join(", "));
        }
        let accepts = yes(explanation.accepts_index);
        let _ = writeln!(
            page,
            "mode: {}; the client accepts indexes: {accepts}",
            explanation.mode
        );
        let sources = sources(explanation);
        if !sources.is_empty() {
            let _ = write!(page, "\n{}", sources.on_screen());
        }
        let entries = entries(explanation);
        if !entries.is_empty() {
            let _ = write!(page, "\n{}", entries.on_screen());
        }
        if explanation.more > 0 {
            let _ = writeln!(page, "and {} more", explanation.more);
        }
        page
    }
}

/// What the body of an error says beside its message, a line each.
fn cause(detail: &Value, message: &str) -> String {
    let mut lines = String::new();
    let texts = ["cause", "next", "request_id"];
    let text = |name: &str| {
        detail[name]
            .as_str()
            .map(|text| format!("{name}: {text}\n"))
    };
    lines.extend(text(texts[0]).filter(|_| detail["cause"] != message));
    for endpoint in detail["endpoints"].as_array().into_iter().flatten() {
        let told = |name: &str| endpoint[name].as_str().unwrap_or_default();
        let _ = write!(lines, "endpoint: {} is {}", told("url"), told("state"));
        for (name, word) in [("since", "since"), ("asked_again", "asked again at")] {
            if let Some(time) = endpoint[name].as_str() {
                let _ = write!(lines, ", {word} {time}");
            }
        }
        lines.push('\n');
    }
    lines.extend(texts[1..].iter().filter_map(|name| text(name)));
    lines
}

/// What the age of the tag allows.
fn age(tag: &TagAge) -> String {
    let mut lines = format!("tag: {}, confirmed {}\n", tag.state, tag.confirmed);
    if let Some(time) = &tag.asked_again {
        let _ = writeln!(lines, "     asked for again from {time}");
    }
    if let Some(time) = &tag.expires {
        let _ = writeln!(lines, "     without an answer good until {time}");
    }
    lines
}

/// The hints of the request, and the default platform where that decided.
fn sources(explanation: &Explanation) -> Table<4> {
    let followed = explanation.followed.as_ref();
    let default = followed.filter(|followed| !explanation.said.contains(followed));
    let mut table = Table::left(["SOURCE", "PLATFORM", "EXPLICIT", ""]);
    for said in explanation.said.iter().chain(default) {
        let mark = if Some(said) == followed {
            "followed"
        } else {
            ""
        };
        let source = match &said.node {
            Some(node) => format!("{} {node}", said.source),
            None => said.source.clone(),
        };
        table.row([
            source,
            said.platform.clone(),
            yes(said.explicit).to_owned(),
            mark.to_owned(),
        ]);
    }
    table
}

/// The entries of the index with the verdict on each.
fn entries(explanation: &Explanation) -> Table<3> {
    let mut table = Table::left(["PLATFORM", "DIGEST", "VERDICT"]);
    for entry in &explanation.entries {
        let platform = or_dash(entry.platform.clone());
        table.row([platform, entry.digest.clone(), entry.verdict.clone()]);
    }
    table
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// Why a text is not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum HeaderError {
    #[error("write it as `Name: value`")]
    Form,
    #[error("the part before the colon is not a header name")]
    Name,
    #[error("the part after the colon is not a header value")]
    Value,
}

/// Reads `Name: value`.
fn header(text: &str) -> Result<(HeaderName, HeaderValue), HeaderError> {
    let (name, value) = text.split_once(':').ok_or(HeaderError::Form)?;
    let name = name.trim().parse().map_err(|_| HeaderError::Name)?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| HeaderError::Value)?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use protocol::explanation::{Entry, Said};

    use super::*;

    fn said(source: &str, platform: &str, explicit: bool) -> Said {
        Said {
            source: source.to_owned(),
            platform: platform.to_owned(),
            explicit,
            node: None,
        }
    }

    fn entry(digest: &str, platform: Option<&str>, verdict: &str) -> Entry {
        Entry {
            digest: digest.to_owned(),
            platform: platform.map(str::to_owned),
            verdict: verdict.to_owned(),
        }
    }

    fn stale() -> TagAge {
        TagAge {
            state: "stale".to_owned(),
            confirmed: "2026-11-29T10:00:00Z".to_owned(),
            asked_again: Some("2026-11-29T10:01:00Z".to_owned()),
            expires: Some("2026-11-30T10:01:00Z".to_owned()),
        }
    }

    #[test]
    fn the_page_shows_the_hints_the_one_that_decided_and_the_verdict_on_each_entry() {
        let explanation = Explanation {
            upstream: "docker.io".to_owned(),
            repository: "team/app".to_owned(),
            reference: "v1".to_owned(),
            said: vec![
                said("header", "linux/arm64", true),
                said("user-agent", "linux/amd64", false),
                Said {
                    node: Some("ip-10-0-1-7".to_owned()),
                    ..said("node", "linux/amd64", false)
                },
            ],
            followed: Some(said("header", "linux/arm64", true)),
            mode: "explicit".to_owned(),
            accepts_index: true,
            offline: true,
            outcome: "stale".to_owned(),
            tag: Some(stale()),
            rule: None,
            answer: "child".to_owned(),
            why: "the mode follows this source".to_owned(),
            chosen: Some("sha256:bb".to_owned()),
            entries: vec![
                entry("sha256:aa", Some("linux/amd64"), "other-platform"),
                entry("sha256:bb", Some("linux/arm64"), "chosen"),
                entry("sha256:cc", None, "no-platform"),
            ],
            more: 2,
        };
        let explained = Explained {
            name: "team/app:v1".to_owned(),
            status: 200,
            digest: Some("sha256:bb".to_owned()),
            error: None,
            detail: None,
            explanation: Some(explanation),
        };
        let expected = "\
team/app:v1: child, because the mode follows this source
digest: sha256:bb
docker.io is offline: answered from what is stored
tag: stale, confirmed 2026-11-29T10:00:00Z
     asked for again from 2026-11-29T10:01:00Z
     without an answer good until 2026-11-30T10:01:00Z
mode: explicit; the client accepts indexes: yes

SOURCE            PLATFORM     EXPLICIT
header            linux/arm64  yes       followed
user-agent        linux/amd64  no
node ip-10-0-1-7  linux/amd64  no

PLATFORM     DIGEST     VERDICT
linux/amd64  sha256:aa  other-platform
linux/arm64  sha256:bb  chosen
-            sha256:cc  no-platform
and 2 more
";
        assert_eq!(explained.text(), expected);
    }

    #[test]
    fn a_header_is_a_name_and_a_value() {
        let (name, value) = header("User-Agent: cri-o/1.33.2 os/linux").unwrap();
        assert_eq!(
            (name.as_str(), value.as_bytes()),
            ("user-agent", b"cri-o/1.33.2 os/linux".as_slice())
        );
        for wrong in ["User-Agent", "a b: c", "a: \u{7}"] {
            assert!(header(wrong).is_err(), "{wrong}");
        }
    }
}
