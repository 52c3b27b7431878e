//! `archway doctor tier`: tries with the bucket what a running Archway does with it.

use std::{fmt, time::Duration};

use bytes::Bytes;
use config::TierConfig;
use futures_util::StreamExt;
use object_store::{Attributes, PutPayload, path::Path};
use protocol::error_chain::ErrorChain;
use tokio::time::{Instant, timeout_at};

use crate::{
    bucket::{Bucket, Clients, region},
    error::TierError,
    mark::Key,
    metrics::TierMetrics,
    names::Names,
};

/// How long all of it may take.
const TIME: Duration = Duration::from_secs(18);

/// The smallest part that every provider takes.
const PART: usize = 5 << 20;

/// The rule that ends uploads which nobody ends, for a folder of the bucket.
const RULE: &str = r#"{"Rules":[{"ID":"archway-unfinished","Status":"Enabled","Filter":{"Prefix":"FOLDER"},"AbortIncompleteMultipartUpload":{"DaysAfterInitiation":1}}]}"#;

/// How one check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, and there is something to know.
    Warning,
    /// It does not work.
    Bad,
}

/// One check and how it went.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was tried.
    pub check: &'static str,
    /// How it went.
    pub state: Verdict,
    /// In words.
    pub text: String,
}

/// What was found of one bucket.
#[derive(Clone, Debug)]
pub struct Report {
    /// The bucket.
    pub url: String,
    /// The checks, in their order.
    pub findings: Vec<Finding>,
    /// The lifecycle rule that the bucket should have.
    pub lifecycle: String,
}

impl Report {
    /// Whether no check failed.
    pub fn is_good(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.state != Verdict::Bad)
    }

    fn note(&mut self, check: &'static str, state: Verdict, text: impl Into<String>) {
        self.findings.push(Finding {
            check,
            state,
            text: text.into(),
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.url)?;
        for finding in &self.findings {
            let mark = match finding.state {
                Verdict::Good => "ok  ",
                Verdict::Warning => "warn",
                Verdict::Bad => "FAIL",
            };
            writeln!(
                formatter,
                "  {mark}  {:<12} {}",
                finding.check, finding.text
            )?;
        }
        writeln!(
            formatter,
            "\nThe bucket should have this lifecycle rule, which ends uploads that nobody ends:\n  {}",
            self.lifecycle
        )
    }
}

/// Tries the bucket. Ends within 20 s, whatever the bucket does.
pub async fn examine(config: &TierConfig) -> Report {
    let folder = match config.url.prefix.as_str() {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    let mut report = Report {
        url: config.url.to_string(),
        findings: Vec::new(),
        lifecycle: RULE.replace("FOLDER", &folder),
    };
    note_key(config, &mut report);
    let end = Instant::now() + TIME;
    let tried = timeout_at(end, try_bucket(config, &mut report)).await;
    if tried.is_err() {
        let text = "the bucket has not answered in time: is its endpoint right, and is it reached?";
        report.note("time", Verdict::Bad, text);
    }
    report
}

fn note_key(config: &TierConfig, report: &mut Report) {
    match Key::read(config.key_file.as_deref()) {
        Ok(key) if key.is_there() => {
            report.note(
                "key",
                Verdict::Good,
                "records of tags and manifests are signed",
            );
        }
        Ok(_) => {
            let text = "no key_file, and no secret_file of [replicas]: whoever may write to the bucket \
                        can say where a tag points while its upstream is gone";
            report.note("key", Verdict::Warning, text);
        }
        Err(error) => report.note("key", Verdict::Bad, ErrorChain(&error).to_string()),
    }
}

async fn try_bucket(config: &TierConfig, report: &mut Report) {
    let clients = match Clients::open(config, &TierMetrics::default()) {
        Ok(clients) => clients,
        Err(error) => return report.note("settings", Verdict::Bad, error.to_string()),
    };
    if let Some(keys) = clients.keys() {
        match keys.current().await {
            Ok(_) => report.note("credentials", Verdict::Good, "AWS credentials were found"),
            Err(error) => return report.note("credentials", Verdict::Bad, error.to_string()),
        }
    }
    let names = Names::new(&config.url.prefix);
    let path = names.at(&format!("doctor/{:016x}", fastrand::u64(..)));
    let bucket = Bucket::new(clients, names, TierMetrics::default());
    if !try_object(&bucket, &path, report).await {
        let region = region(config);
        let advice = "the error above names the right region if it is another one";
        report.note(
            "region",
            Verdict::Warning,
            format!("asked in {region}; {advice}"),
        );
        return;
    }
    try_parts(&bucket, &path, report).await;
    let listed = bucket.list(&bucket.names().at("doctor"), None).next().await;
    match listed {
        Some(Ok(_)) => report.note("list", Verdict::Good, "objects can be listed"),
        Some(Err(error)) => report.note("list", Verdict::Bad, with_advice(&error)),
        None => report.note("list", Verdict::Bad, "what was just written is not listed"),
    }
    match bucket.delete(vec![path]).await {
        Ok(_) => report.note("delete", Verdict::Good, "objects can be deleted"),
        Err(error) => report.note("delete", Verdict::Bad, with_advice(&error)),
    }
}

/// Writes an object and reads a part of it.
async fn try_object(bucket: &Bucket, path: &Path, report: &mut Report) -> bool {
    let content: Vec<u8> = (0..1024_u32)
        .map(|number| number.to_le_bytes()[0])
        .collect();
    let content = Bytes::from(content);
    let begun = Instant::now();
    match bucket.put_versioned(path, content.clone().into()).await {
        Ok(is_versioned) => {
            let took = begun.elapsed().as_millis();
            report.note(
                "create",
                Verdict::Good,
                format!("an object was written in {took} ms"),
            );
            if is_versioned {
                let text = "the bucket keeps versions: what the janitor deletes is still paid for, and \
                            with object lock nothing goes; use a bucket without either";
                report.note("versions", Verdict::Warning, text);
            }
        }
        Err(error) => {
            report.note("create", Verdict::Bad, with_advice(&error));
            return false;
        }
    }
    let begun = Instant::now();
    let read = match bucket.read(path, 100..200).await {
        Ok(mut reading) => match reading.bytes.next().await {
            Some(Ok(bytes)) if bytes == content[100..200] => Ok(()),
            Some(Ok(_)) | None => Err("the bytes read are not those written".to_owned()),
            Some(Err(error)) => Err(error.to_string()),
        },
        Err(error) => Err(with_advice(&error)),
    };
    match read {
        Ok(()) => {
            let took = begun.elapsed().as_millis();
            report.note(
                "read",
                Verdict::Good,
                format!("a range was read in {took} ms"),
            );
            true
        }
        Err(text) => {
            report.note("read", Verdict::Bad, text);
            false
        }
    }
}

/// Writes an object in two parts.
async fn try_parts(bucket: &Bucket, path: &Path, report: &mut Report) {
    let written = async {
        let mut upload = bucket.begin(path, Attributes::new()).await?;
        let parts = [PART, 1].map(|length| PutPayload::from(Bytes::from(vec![7; length])));
        for part in parts {
            let sent = upload.put_part(part);
            bucket.step(sent).await?;
        }
        bucket.step(upload.complete()).await?;
        let reading = bucket.read(path, 0..1).await?;
        Ok::<u64, TierError>(reading.size)
    };
    match written.await {
        Ok(size) if size == PART as u64 + 1 => {
            report.note(
                "multipart",
                Verdict::Good,
                "an object was written in two parts",
            );
        }
        Ok(size) => {
            let text = format!("an object of {} bytes has {size}", PART + 1);
            report.note("multipart", Verdict::Bad, text);
        }
        Err(error) => report.note("multipart", Verdict::Bad, with_advice(&error)),
    }
}

/// The error, and what is mostly the reason.
fn with_advice(error: &TierError) -> String {
    let text = error.to_string();
    let advice = [
        ("RequestTimeTooSkewed", "set the clock of this machine"),
        (
            "KMS",
            "the role needs kms:GenerateDataKey and kms:Decrypt for the key",
        ),
        (
            "AuthorizationHeaderMalformed",
            "set tier.region to the bucket's",
        ),
        ("PermanentRedirect", "set tier.region to the bucket's"),
        (
            "NoSuchBucket",
            "create the bucket, or set tier.url to one that is there",
        ),
        (
            "SignatureDoesNotMatch",
            "the secret key is not that of the key's id",
        ),
        (
            "AccessDenied",
            "the role needs s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload \
             for the objects, and s3:ListBucket for the bucket",
        ),
    ];
    let found = advice.iter().find(|(word, _)| text.contains(word));
    found.map_or_else(|| text.clone(), |(_, advice)| format!("{text}: {advice}"))
}
