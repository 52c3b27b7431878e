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
        }
    }

    pub(super) fn named(self, name: &'static str, took: Duration) -> Check {
        Check {
            name,
            status: self.status,
            detail: self.detail,
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
        if failed.is_empty() {
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
                for check in &endpoint.checks {
                    let (status, name, detail) = (check.status.word(), check.name, &check.detail);
                    writeln!(formatter, "  {status:<7}  {name:<width$}  {detail}")?;
                }
                writeln!(formatter)?;
            }
        }
        for exposure in &self.exposures {
            let status = exposure.status.word();
            writeln!(formatter, "{status}: {}\n", exposure.detail)?;
        }
        let good = self.upstreams.iter().filter(|one| one.is_good()).count();
        writeln!(
            formatter,
            "{good} of {} upstreams passed",
            self.upstreams.len()
        )
    }
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
    }
}
