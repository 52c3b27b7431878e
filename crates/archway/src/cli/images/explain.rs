//! `archway explain [--as HEADER]... REF`

use protocol::image_name::ImageName;
use std::fmt::Write;

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use manifest_model::MediaType;
use protocol::{explanation::Explanation, headers::ARCHWAY_EXPLAIN};
use serde::Serialize;

use super::{Format, Outcome, Place};
use crate::{
    cli::{Answer, table::Table},
    client::{Server, accepting},
};

/// Say why a running Archway answers a name as it does.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  archway explain docker.io/library/busybox
  archway explain --as 'Archway-Platform: linux/arm64' docker.io/library/busybox
  archway explain --as 'User-Agent: cri-o/1.33.2 go/go1.24.4 os/linux arch/arm64' team/app:v1")]
pub(crate) struct Explain {
    /// The image, as any client names it: HOST/REPOSITORY:TAG or @DIGEST
    #[arg(value_name = "REF")]
    image: ImageName,
    /// A header of the client in question, as often as needed; Accept is that of current clients
    /// unless given
    #[arg(long = "as", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    pub(super) place: Place,
}

impl Explain {
    pub(super) async fn run(&self, server: &Server) -> Outcome {
        let reference = &self.image.reference;
        let answer = server.look(&self.image, reference, self.request()).await?;
        let explanation = answer.header(&ARCHWAY_EXPLAIN);
        let succeeded = answer.status.is_success();
        let explained = Explained {
            name: self.image.to_string(),
            status: answer.status.as_u16(),
            digest: answer
                .digest()
                .filter(|_| succeeded)
                .map(|digest| digest.to_string()),
            error: (!succeeded).then(|| answer.message()),
            explanation: explanation.and_then(|text| serde_json::from_str(text).ok()),
        };
        let out = match self.output {
            Format::Json => super::json(&explained),
            Format::Text => explained.text(),
        };
        Ok(Answer {
            code: u8::from(!succeeded),
            ..Answer::good(out)
        })
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

/// An answer of the server, with its explanation if it gave one.
#[derive(Serialize)]
struct Explained {
    name: String,
    status: u16,
    digest: Option<String>,
    error: Option<String>,
    explanation: Option<Explanation>,
}

impl Explained {
    fn text(&self) -> String {
        let mut page = String::new();
        if let Some(error) = &self.error {
            let _ = writeln!(page, "{}: {} {error}", self.name, self.status);
        }
        let Some(explanation) = &self.explanation else {
            return page;
        };
        let (answer, why) = (&explanation.answer, &explanation.why);
        let _ = writeln!(page, "{}: {answer}, since {why}", self.name);
        if let Some(digest) = &self.digest {
            let _ = writeln!(page, "digest: {digest}");
        }
        let takes = yes(explanation.accepts_index);
        let _ = writeln!(
            page,
            "mode: {}; the client takes indexes: {takes}",
            explanation.mode
        );
        let sources = sources(explanation);
        if !sources.is_empty() {
            let _ = write!(page, "\n{sources}");
        }
        let entries = entries(explanation);
        if !entries.is_empty() {
            let _ = write!(page, "\n{entries}");
        }
        if explanation.more > 0 {
            let _ = writeln!(page, "and {} more", explanation.more);
        }
        page
    }
}

/// The sources that gave a hint, and the default if it was followed.
fn sources(explanation: &Explanation) -> Table<4> {
    let followed = explanation.followed.as_ref();
    let silent = followed.filter(|followed| !explanation.said.contains(followed));
    let mut table = Table::left(["SOURCE", "SAYS", "EXPLICIT", ""]);
    for said in explanation.said.iter().chain(silent) {
        let mark = if Some(said) == followed {
            "followed"
        } else {
            ""
        };
        table.row([
            said.source.clone(),
            said.platform.clone(),
            yes(said.explicit).to_owned(),
            mark.to_owned(),
        ]);
    }
    table
}

/// The verdict on each entry of the index.
fn entries(explanation: &Explanation) -> Table<3> {
    let mut table = Table::left(["PLATFORM", "DIGEST", "VERDICT"]);
    for entry in &explanation.entries {
        let platform = super::or_dash(entry.platform.clone());
        table.row([platform, entry.digest.clone(), entry.verdict.clone()]);
    }
    table
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// `Name: value`
fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as `Name: value`")?;
    let name = name.trim().parse().map_err(|_| "no name of a header")?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| "no value of a header")?;
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
        }
    }

    fn entry(digest: &str, platform: Option<&str>, verdict: &str) -> Entry {
        Entry {
            digest: digest.to_owned(),
            platform: platform.map(str::to_owned),
            verdict: verdict.to_owned(),
        }
    }

    #[test]
    fn the_page_shows_who_spoke_who_was_followed_and_what_became_of_each_entry() {
        let explanation = Explanation {
            upstream: "docker.io".to_owned(),
            repository: "team/app".to_owned(),
            reference: "v1".to_owned(),
            said: vec![
                said("header", "linux/arm64", true),
                said("user-agent", "linux/amd64", false),
            ],
            followed: Some(said("header", "linux/arm64", true)),
            mode: "explicit".to_owned(),
            accepts_index: true,
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
            explanation: Some(explanation),
        };
        let expected = "\
team/app:v1: child, since the mode follows this source
digest: sha256:bb
mode: explicit; the client takes indexes: yes

SOURCE      SAYS         EXPLICIT
header      linux/arm64  yes       followed
user-agent  linux/amd64  no

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
