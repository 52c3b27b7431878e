//! `archway cache verify`: hashes every blob again.

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
use terminal::{progress::Progress, table::size};

use super::{DirectoryArgs, Format, note};
use crate::cli::output::{CommandOutput, Exit, Failure, counted, json};

const HELP: &str = "\
The check works while a server runs, with and without --repair. The next pull fetches a removed blob
from the upstream again.

Exit codes: 0 no damage; 1 a blob is damaged, removed or not; 2 the check could not run.

Examples:
  archway cache verify --config /etc/archway.toml
  archway cache verify --path /var/lib/archway --repair -o json";

/// Hash every stored blob and report the damaged ones; works while a server runs
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Verify {
    #[command(flatten)]
    args: DirectoryArgs,
    /// Remove damaged blobs
    #[arg(long)]
    repair: bool,
    #[arg(
        help = "Number of files to read at the same time [default: the number of cores]",
        long,
        value_name = "N"
    )]
    jobs: Option<NonZeroUsize>,
}

impl Verify {
    pub(super) fn run(&self) -> Result<CommandOutput, Failure> {
        let directory = self.args.open()?.directory;
        let listing = directory.list()?;
        let (sizes, unread) = match directory.recorded_sizes() {
            Ok(sizes) => (sizes, None),
            Err(unread) => (HashMap::new(), Some(unread)),
        };
        let started = Instant::now();
        let mut report = self.check(&directory, &sizes, &listing);
        report.sizes_compared = unread.is_none();
        let exit = if report.damaged + report.unreadable > 0 {
            Exit::Negative
        } else {
            Exit::Success
        };
        Ok(match self.args.output {
            Format::Json => CommandOutput::new(json(&report), exit),
            Format::Text => CommandOutput::new(report.summary(started.elapsed()), exit)
                .with_notes(notes(&report, self.repair, unread.as_ref())),
        })
    }

    fn check(
        &self,
        directory: &Directory,
        sizes: &HashMap<Digest, u64>,
        listing: &Listing,
    ) -> VerifyReport {
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
        let progress = Progress::of("read", listing.files.iter().map(|file| file.size).sum());
        let mut report = VerifyReport::of(directory.path());
        let mut add = |finding: FindingLine| {
            if self.args.output == Format::Text {
                progress.print(&finding.text());
            }
            report.findings.push(finding);
        };
        for path in &listing.foreign {
            add(FindingLine::foreign(path));
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
                        add(FindingLine::of(directory, &finding));
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

/// The numbers of a check and its findings.
#[derive(Debug, Default, Serialize)]
struct VerifyReport {
    path: String,
    files: u64,
    bytes: u64,
    /// Files that vanished before they were read.
    gone: u64,
    damaged: u64,
    unreadable: u64,
    foreign: u64,
    removed: u64,
    /// Whether the lengths were compared with those in the index.
    sizes_compared: bool,
    findings: Vec<FindingLine>,
}

#[derive(Debug, Serialize)]
struct FindingLine {
    problem: Problem,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    detail: String,
    removed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Problem {
    Corrupt,
    Length,
    Unreadable,
    Foreign,
}

impl VerifyReport {
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
            text += "no damage";
        } else {
            let _ = write!(
                text,
                "{} damaged, {} unreadable, {} removed",
                self.damaged, self.unreadable, self.removed
            );
        }
        if self.foreign > 0 {
            let _ = write!(
                text,
                "; {} left alone",
                counted(self.foreign, "foreign file")
            );
        }
        text.push('\n');
        text
    }
}

impl FindingLine {
    fn foreign(path: &Path) -> Self {
        Self {
            problem: Problem::Foreign,
            file: path.display().to_string(),
            digest: None,
            size: None,
            detail: "not the name of a blob; left alone".into(),
            removed: false,
        }
    }

    fn of(directory: &Directory, finding: &Finding) -> Self {
        let (problem, mut detail) = match &finding.fault {
            Fault::Corrupt { actual } => (
                Problem::Corrupt,
                format!("its content has the digest {actual}"),
            ),
            Fault::Length { recorded } => (
                Problem::Length,
                format!(
                    "it has {} bytes, but {recorded} were stored",
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
        let removed = if self.removed { "; removed" } else { "" };
        format!("{problem:<10}  {name}  {}{removed}", self.detail)
    }
}

fn notes(report: &VerifyReport, repair: bool, unread: Option<&Unread>) -> String {
    let mut text = note(
        unread,
        "digests were checked, lengths were not compared with the index",
    );
    if report.damaged > 0 && !repair {
        text += "run the command again with --repair to remove damaged blobs; the next pull fetches them again\n";
    }
    text
}
