//! The report of all checks, as a table for people and as JSON for programs.

use std::{fmt, time::Duration};

use config::Exposure;
use protocol::host::Host;
use serde::Serialize;
use url::Url;

/// The checks of all upstreams.
#[derive(Debug, Serialize)]
pub struct DoctorReport {
    pub(super) upstreams: Vec<UpstreamReport>,
    /// Listeners that open an identity of ours to a network.
    pub(super) exposures: Vec<ExposureReport>,
}

/// A listener through which everybody reads what an identity of ours can.
#[derive(Debug, Serialize)]
pub(super) struct ExposureReport {
    listener: String,
    upstreams: Vec<String>,
    identity: String,
    status: Status,
    detail: String,
}

impl From<Exposure> for ExposureReport {
    fn from(exposure: Exposure) -> Self {
        Self {
            listener: exposure.listener.to_string(),
            detail: exposure.to_string(),
            upstreams: exposure.upstreams,
            identity: exposure.identity,
            status: Status::Warning,
        }
    }
}

/// The checks of one upstream.
#[derive(Debug, Serialize)]
pub(super) struct UpstreamReport {
    pub(super) name: String,
    endpoints: Vec<EndpointReport>,
}

#[derive(Debug, Serialize)]
struct EndpointReport {
    url: String,
    checks: Vec<Check>,
}

/// One check and its result.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) status: Status,
    pub(super) detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
    pub(super) milliseconds: u64,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Ok,
    /// It works, but with a drawback or not for much longer.
    Warning,
    Failed,
    /// It was not checked, or there was nothing to check.
    Skipped,
}

/// The result of a check with its reason.
pub(super) struct Finding {
    pub(super) status: Status,
    pub(super) detail: String,
    fix: Option<String>,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped",
        }
    }
}

impl Finding {
    pub(super) fn ok(detail: impl Into<String>) -> Self {
        Self::new(Status::Ok, detail)
    }

    pub(super) fn warning(detail: impl Into<String>) -> Self {
        Self::new(Status::Warning, detail)
    }

    pub(super) fn failed(detail: impl Into<String>) -> Self {
        Self::new(Status::Failed, detail)
    }

    pub(super) fn skipped(detail: impl Into<String>) -> Self {
        Self::new(Status::Skipped, detail)
    }

    fn new(status: Status, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            fix: None,
        }
    }

    /// The same with what to do about it.
    pub(super) fn fix(self, fix: impl Into<String>) -> Self {
        Self {
            fix: Some(fix.into()),
            ..self
        }
    }

    pub(super) fn named(self, name: &'static str, took: Duration) -> Check {
        Check {
            name,
            status: self.status,
            detail: self.detail,
            fix: self.fix,
            milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl UpstreamReport {
    pub(super) fn new(host: &Host) -> Self {
        Self {
            name: host.to_string(),
            endpoints: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, endpoint: &Url, checks: Vec<Check>) {
        self.endpoints.push(EndpointReport {
            url: endpoint.origin().ascii_serialization(),
            checks,
        });
    }

    fn is_good(&self) -> bool {
        self.checks().all(|check| check.status != Status::Failed)
    }

    fn has_warnings(&self) -> bool {
        self.is_good() && self.checks().any(|check| check.status == Status::Warning)
    }

    fn checks(&self) -> impl Iterator<Item = &Check> {
        self.endpoints.iter().flat_map(|endpoint| &endpoint.checks)
    }

    /// The name and the checks that failed.
    pub(super) fn headline(&self) -> String {
        let failed = self
            .checks()
            .filter(|check| check.status == Status::Failed)
            .map(|check| check.name);
        let failed: Vec<_> = failed.collect();
        if self.has_warnings() {
            format!("{}: ok, with warnings", self.name)
        } else if failed.is_empty() {
            format!("{}: ok", self.name)
        } else {
            format!("{}: failed: {}", self.name, failed.join(", "))
        }
    }
}

impl DoctorReport {
    /// Whether no check failed.
    pub fn is_good(&self) -> bool {
        self.upstreams.iter().all(UpstreamReport::is_good)
    }

    /// The report with its verdict in the field `ok`.
    pub fn to_json(&self) -> impl Serialize {
        #[derive(Serialize)]
        struct WithVerdict<'a> {
            ok: bool,
            #[serde(flatten)]
            report: &'a DoctorReport,
        }
        WithVerdict {
            ok: self.is_good(),
            report: self,
        }
    }
}

impl fmt::Display for DoctorReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks = self.upstreams.iter().flat_map(UpstreamReport::checks);
        let width = checks.map(|check| check.name.len()).max().unwrap_or(0);
        for upstream in &self.upstreams {
            for endpoint in &upstream.endpoints {
                writeln!(formatter, "{} at {}", upstream.name, endpoint.url)?;
                for line in lines(&endpoint.checks) {
                    let (status, name, detail) = (line.status.word(), line.names, line.detail);
                    writeln!(formatter, "  {status:<7}  {name:<width$}  {detail}")?;
                    if let Some(fix) = line.fix {
                        writeln!(formatter, "  {:<7}  {:<width$}  fix: {fix}", "", "")?;
                    }
                }
                writeln!(formatter)?;
            }
        }
        for exposure in &self.exposures {
            let status = exposure.status.word();
            writeln!(formatter, "{status}: {}\n", exposure.detail)?;
        }
        let good = self.upstreams.iter().filter(|one| one.is_good()).count();
        let warned = self.upstreams.iter().filter(|one| one.has_warnings());
        let warned = match warned.count() {
            0 => String::new(),
            some => format!(", {some} of them with warnings"),
        };
        writeln!(
            formatter,
            "{good} of {} upstreams passed{warned}",
            self.upstreams.len()
        )
    }
}

/// One line of the table: a check, or several that were skipped for one reason.
struct Line<'a> {
    status: Status,
    names: String,
    detail: &'a str,
    fix: Option<&'a str>,
}

fn lines(checks: &[Check]) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = Vec::with_capacity(checks.len());
    for check in checks {
        match lines.last_mut() {
            Some(last)
                if check.status == Status::Skipped
                    && last.status == Status::Skipped
                    && last.detail == check.detail =>
            {
                last.names = format!("{}, {}", last.names, check.name);
            }
            _ => lines.push(Line {
                status: check.status,
                names: check.name.to_owned(),
                detail: &check.detail,
                fix: check.fix.as_deref(),
            }),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(status: Status) -> DoctorReport {
        let mut upstream = UpstreamReport::new(&"registry.example".parse().unwrap());
        let finding = Finding::new(status, "as found");
        let checks = vec![
            Finding::ok("3 addresses").named("dns", Duration::from_millis(4)),
            finding.named("auth", Duration::from_millis(20)),
        ];
        upstream.add(&"https://registry.example".parse().unwrap(), checks);
        DoctorReport {
            upstreams: vec![upstream],
            exposures: Vec::new(),
        }
    }

    #[test]
    fn only_what_failed_makes_a_report_bad() {
        for status in [Status::Ok, Status::Warning, Status::Skipped] {
            assert!(report(status).is_good());
        }
        assert!(!report(Status::Failed).is_good());
    }

    #[test]
    fn the_table_has_a_line_for_each_check() {
        let expected = "\
registry.example at https://registry.example
  ok       dns   3 addresses
  FAILED   auth  as found

0 of 1 upstreams passed
";
        assert_eq!(report(Status::Failed).to_string(), expected);
        let warned = report(Status::Warning).to_string();
        assert!(warned.ends_with("1 of 1 upstreams passed, 1 of them with warnings\n"));
    }

    #[test]
    fn checks_that_are_skipped_for_one_reason_are_one_line_and_a_fix_follows_its_failure() {
        let checks = [
            Finding::failed("refused").fix("set `auth`"),
            Finding::skipped("not reached"),
            Finding::skipped("not reached"),
            Finding::skipped("no tag"),
        ];
        let checks: Vec<_> = ["auth", "tag", "range", "budget"]
            .into_iter()
            .zip(checks)
            .map(|(name, finding)| finding.named(name, Duration::ZERO))
            .collect();
        let lines = lines(&checks);
        let names: Vec<_> = lines.iter().map(|line| line.names.as_str()).collect();
        assert_eq!(names, ["auth", "tag, range", "budget"]);
        assert_eq!(lines[0].fix, Some("set `auth`"));
    }
}
