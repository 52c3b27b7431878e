//! `archway doctor`: checks the services that Archway depends on, the way Archway would use them.
//!
//! It asks upstreams through the same clients and credentials as the proxy, but belongs to no
//! request: nothing of it runs while the proxy serves. Every check has a timeout, upstreams are
//! checked side by side, and each result is reported as soon as it is there.

mod certificate;
mod clock;
mod image;
mod report;
mod upstream;

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use ::upstream::EcrTokens;
use clap::{Args, Subcommand, ValueEnum};
use config::{Config, UpstreamConfig};
use futures_util::{StreamExt, stream};
use protocol::host::{Host, HostPattern};

pub(crate) use self::image::Image;
use self::report::{Report, UpstreamReport};
use crate::cli::{Answer, ConfigFile};

/// The number of upstreams that are checked at the same time.
const AT_ONCE: usize = 8;

/// What to look at.
#[derive(Debug, Subcommand)]
pub(crate) enum DoctorCommand {
    /// Check names, certificates, credentials and limits of the upstreams; ends with 1 when one
    /// fails
    #[command(after_help = HELP)]
    Upstreams(Upstreams),
}

const HELP: &str = "\
Without NAME every upstream of the configuration that is one host is checked; of a pattern, name the hosts, here or
in --image. With --image its tag is asked for by HEAD; then its manifest is read, which counts as one pull where those are
counted, and one blob from its second byte on.

Examples:
  archway doctor upstreams
  archway doctor upstreams --config /etc/archway.toml --image docker.io/library/busybox:latest
  archway doctor upstreams -o json 123456789012.dkr.ecr.eu-west-1.amazonaws.com --image team/app:v1";

/// The upstreams to check, and the form of the answer.
#[derive(Debug, Args)]
pub(crate) struct Upstreams {
    /// The configuration of the upstreams.
    #[command(flatten)]
    pub file: ConfigFile,
    /// A table for eyes or JSON
    #[arg(short, long, value_enum, default_value_t = Output::Human)]
    output: Output,
    /// A tag to ask for; with a host only that upstream is asked for it, else all are. May be
    /// repeated
    #[arg(long = "image", value_name = "[HOST/]REPO:TAG")]
    images: Vec<Image>,
    /// Hosts of upstreams
    #[arg(value_name = "NAME")]
    names: Vec<Host>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Human,
    Json,
}

/// An upstream to check.
struct Patient {
    host: Host,
    config: UpstreamConfig,
    images: Vec<Image>,
}

impl Upstreams {
    /// Checks the upstreams, and reports progress on standard error.
    pub(crate) async fn run(&self, config: &Config) -> Answer {
        let (patients, unknown) = self.patients(config);
        if let Some(host) = unknown {
            return Answer::misused(&format!(
                "the upstream {host} is not configured: add [upstream.\"{host}\"], or name one of {}",
                names(config)
            ));
        }
        if patients.is_empty() {
            return Answer::misused(&format!(
                "there is no upstream that is one host: name hosts that {} mean",
                names(config)
            ));
        }
        let total = patients.len();
        let ecr = Arc::default();
        let looks = patients.iter().map(|patient| patient.examine(&ecr));
        let mut running = stream::iter(looks).buffer_unordered(AT_ONCE);
        let mut upstreams: Vec<UpstreamReport> = Vec::with_capacity(total);
        while let Some(done) = running.next().await {
            upstreams.push(done);
            let done = upstreams.last().expect("one was pushed");
            progress(&format!("{}/{total} {}", upstreams.len(), done.headline()));
        }
        drop(running);
        upstreams.sort_by_key(|report| patients.iter().position(|one| one.is_of(report)));
        let report = Report { upstreams };
        Answer {
            out: match self.output {
                Output::Human => report.human(),
                Output::Json => report.json(),
            },
            err: String::new(),
            code: u8::from(!report.is_good()),
        }
    }

    /// The upstreams to check, or a name that is not configured.
    fn patients(&self, config: &Config) -> (Vec<Patient>, Option<Host>) {
        let mut hosts: Vec<Host> = if self.names.is_empty() {
            let exact = config.upstreams.patterns();
            exact
                .filter_map(|pattern| pattern.exact().cloned())
                .collect()
        } else {
            let named = self.names.iter().cloned();
            named.map(Host::canonical).collect()
        };
        for host in self.images.iter().filter_map(Image::host) {
            if !hosts.contains(host) {
                hosts.push(host.clone());
            }
        }
        let mut patients = Vec::new();
        for host in &hosts {
            let Some(config) = config.upstreams.find(host) else {
                return (Vec::new(), Some(host.clone()));
            };
            patients.push(Patient {
                images: image::for_host(&self.images, host),
                host: host.clone(),
                config,
            });
        }
        (patients, None)
    }
}

impl Patient {
    async fn examine(&self, ecr: &Arc<EcrTokens>) -> UpstreamReport {
        let mut report = UpstreamReport::new(&self.host);
        for endpoint in &self.config.endpoints {
            let checks = upstream::examine(self, endpoint, ecr).await;
            report.add(&endpoint.url, checks);
        }
        report
    }

    fn is_of(&self, report: &UpstreamReport) -> bool {
        report.name == self.host.as_str()
    }
}

fn names(config: &Config) -> String {
    let patterns = config.upstreams.patterns();
    let names: Vec<_> = patterns.map(HostPattern::as_str).collect();
    names.join(", ")
}

/// Prints a line of progress. A closed standard error is no failure.
fn progress(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
