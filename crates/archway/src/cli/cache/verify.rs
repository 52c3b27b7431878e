//! `archway cache verify`

use std::{
    collections::HashMap,
    fmt::Write as _,
    num::NonZeroUsize,
    path::Path,
    thread::available_parallelism,
    time::{Duration, Instant},
};

use cache::inspect::{Checked, Directory, Fault, Finding, Listing, Repair, Unread, Verifier};
use clap::Args;
use manifest_model::Digest;
use protocol::error_chain::ErrorChain;
use serde::Serialize;

use super::{Answer, FOUND, Form, Place, counted, json, note, progress::Progress, refused};
use crate::cli::table::size;

const HELP: &str = "\
Ends with 0 if all is well, 1 if something is damaged (taken out or not), 2 if it could not be done.
What is taken out comes back from upstream on the next pull.

Examples:
  archway cache verify --config /etc/archway.toml
  archway cache verify --path /var/lib/archway --repair -o json";

/// The arguments of `verify`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Verify {
    #[command(flatten)]
    place: Place,
    /// Take damaged files out, whether or not a server runs
    #[arg(long)]
    repair: bool,
    /// Files to read at once; as many as there are cores unless set
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

impl Verify {
    pub(super) fn run(&self) -> Result<Answer, Answer> {
        let directory = self.place.find()?.directory;
        let listing = directory.list().map_err(|error| refused(&error))?;
        let (sizes, unread) = match directory.recorded_sizes() {
            Ok(sizes) => (sizes, None),
            Err(unread) => (HashMap::new(), Some(unread)),
        };
        let started = Instant::now();
        let mut report = self.check(&directory, &sizes, &listing);
        report.sizes_compared = unread.is_none();
        let code = if report.damaged + report.unreadable > 0 {
            FOUND
        } else {
            0
        };
        Ok(match self.place.output {
            Form::Json => Answer {
                out: json(&report),
                err: String::new(),
                code,
            },
            Form::Table => Answer {
                out: report.summary(started.elapsed()),
                err: advice(&report, self.repair, unread.as_ref()),
                code,
            },
        })
    }

    fn check(
        &self,
        directory: &Directory,
        sizes: &HashMap<Digest, u64>,
        listing: &Listing,
    ) -> Report {
        let verifier = Verifier {
            directory,
            sizes,
            repair: if self.repair {
                Repair::Discard
            } else {
                Repair::Report
            },
            jobs: self
                .jobs
                .or_else(|| available_parallelism().ok())
                .unwrap_or(NonZeroUsize::MIN),
        };
        let progress = Progress::of(listing.files.iter().map(|file| file.size).sum());
        let mut report = Report::of(directory.path());
        let mut add = |finding: Line| {
            if self.place.output == Form::Table {
                progress.say(&finding.text());
            }
            report.findings.push(finding);
        };
        for path in &listing.foreign {
            add(Line::foreign(path));
        }
        let (mut files, mut bytes, mut gone) = (0, 0, 0);
        verifier.run(
            &listing.files,
            |read| progress.advance(read),
            |file, checked| match checked {
                Checked::Gone => gone += 1,
                checked => {
                    files += 1;
                    bytes += file.size;
                    if let Checked::Bad(finding) = checked {
                        add(Line::of(directory, &finding));
                    }
                }
            },
        );
        progress.end();
        (report.files, report.bytes, report.gone) = (files, bytes, gone);
        report.count();
        report
    }
}

/// The outcome of a verification.
#[derive(Debug, Default, Serialize)]
struct Report {
    path: String,
    files: u64,
    bytes: u64,
    /// Files that vanished before they were read.
    gone: u64,
    damaged: u64,
    unreadable: u64,
    foreign: u64,
    removed: u64,
    /// Whether the lengths were compared with the index.
    sizes_compared: bool,
    findings: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    problem: Problem,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    detail: String,
    removed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Problem {
    Corrupt,
    Length,
    Unreadable,
    Foreign,
}

impl Report {
    fn of(path: &Path) -> Self {
        Self {
            path: path.display().to_string(),
            ..Self::default()
        }
    }

    fn count(&mut self) {
        for line in &self.findings {
            let counter = match line.problem {
                Problem::Corrupt | Problem::Length => &mut self.damaged,
                Problem::Unreadable => &mut self.unreadable,
                Problem::Foreign => &mut self.foreign,
            };
            *counter += 1;
            self.removed += u64::from(line.removed);
        }
    }

    fn summary(&self, took: Duration) -> String {
        let mut text = format!(
            "{}, {}, read in {}: ",
            counted(self.files, "blob"),
            size(self.bytes),
            humantime::format_duration(Duration::from_millis(
                u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
            )),
        );
        if self.damaged + self.unreadable == 0 {
            text += "all are well";
        } else {
            let _ = write!(
                text,
                "{} damaged, {} unreadable, {} taken out",
                self.damaged, self.unreadable, self.removed
            );
        }
        if self.foreign > 0 {
            let _ = write!(text, "; {} not Archway's", counted(self.foreign, "name"));
        }
        text.push('\n');
        text
    }
}

impl Line {
    fn foreign(path: &Path) -> Self {
        Self {
            problem: Problem::Foreign,
            file: path.display().to_string(),
            digest: None,
            size: None,
            detail: "no blob has such a name; it is left alone".into(),
            removed: false,
        }
    }

    fn of(directory: &Directory, finding: &Finding) -> Self {
        let (problem, mut detail) = match &finding.fault {
            Fault::Corrupt { actual } => (Problem::Corrupt, format!("its bytes are {actual}")),
            Fault::Length { recorded } => (
                Problem::Length,
                format!(
                    "it has {} bytes and was stored with {recorded}",
                    finding.file.size
                ),
            ),
            Fault::Unreadable(error) => (Problem::Unreadable, ErrorChain(error).to_string()),
        };
        if let Some(Err(error)) = &finding.removed {
            let _ = write!(detail, "; {}", ErrorChain(error));
        }
        Self {
            problem,
            file: directory.file(&finding.file.digest).display().to_string(),
            digest: Some(finding.file.digest.to_string()),
            size: Some(finding.file.size),
            detail,
            removed: matches!(finding.removed, Some(Ok(()))),
        }
    }

    fn text(&self) -> String {
        let problem = match self.problem {
            Problem::Corrupt => "corrupt",
            Problem::Length => "length",
            Problem::Unreadable => "unreadable",
            Problem::Foreign => "foreign",
        };
        let name = self.digest.as_ref().unwrap_or(&self.file);
        let removed = if self.removed { "; taken out" } else { "" };
        format!("{problem:<10}  {name}  {}{removed}", self.detail)
    }
}

fn advice(report: &Report, repair: bool, unread: Option<&Unread>) -> String {
    let mut text = note(unread, "lengths were not compared with it, digests were");
    if report.damaged > 0 && !repair {
        text += "run it again with --repair to take out what is damaged; it comes back from upstream on the next pull\n";
    }
    text
}
