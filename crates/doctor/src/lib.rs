//! What Archway and its clients depend on, tried the way they use it.
//!
//! Owns the checks of upstreams with their report ([`examine`]), and the questions to a node: is it
//! this Archway that answers there ([`Own`]), does the runtime ([`Cri`]) pull through it ([`probe`]).
//! Refuses to change anything, and command lines; the proxy never runs it. Every check has a timeout;
//! upstreams are checked side by side.

mod certificate;
mod clock;
mod cri;
mod image;
mod own;
pub mod probe;
mod report;
mod upstream;

use std::sync::Arc;

use ::upstream::EcrTokens;
use config::{Config, UpstreamConfig};
use futures_util::{StreamExt, stream};
use protocol::host::{Host, HostPattern};

use self::report::UpstreamReport;
pub use self::{
    cri::{Cri, CriError, PulledImage},
    image::{ImageTag, ImageTagError},
    own::{NotOurs, Own},
    report::DoctorReport,
};

/// The upstreams checked at the same time.
const MAX_CONCURRENT_UPSTREAMS: usize = 8;

/// An upstream to check, and the tags to ask it for.
pub struct Target {
    host: Host,
    config: UpstreamConfig,
    images: Vec<ImageTag>,
}

/// Why there is nothing to check.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// A host that is named matches no upstream.
    #[error(
        "the upstream {host} is not configured: add [upstream.\"{host}\"], or name one of {configured}"
    )]
    NotConfigured {
        /// The host.
        host: Host,
        /// The upstreams of the configuration.
        configured: String,
    },
    /// Every upstream of the configuration is a pattern.
    #[error("every upstream of the configuration is a pattern: name hosts that match {patterns}")]
    OnlyPatterns {
        /// The upstreams of the configuration.
        patterns: String,
    },
}

/// The upstreams `names` and `images` name. Without `names`, every upstream that is a single host.
pub fn targets(
    config: &Config,
    names: &[Host],
    images: &[ImageTag],
) -> Result<Vec<Target>, TargetError> {
    let mut hosts: Vec<Host> = if names.is_empty() {
        let patterns = config.upstreams.patterns();
        patterns
            .filter_map(|pattern| pattern.exact().cloned())
            .collect()
    } else {
        names.iter().cloned().map(Host::canonical).collect()
    };
    for host in images.iter().filter_map(ImageTag::host) {
        if !hosts.contains(host) {
            hosts.push(host.clone());
        }
    }
    if hosts.is_empty() {
        let patterns = configured(config);
        return Err(TargetError::OnlyPatterns { patterns });
    }
    let target = |host: Host| match config.upstreams.find(&host) {
        Some(config) => Ok(Target {
            images: image::for_host(images, &host),
            host,
            config,
        }),
        None => Err(TargetError::NotConfigured {
            host,
            configured: configured(config),
        }),
    };
    hosts.into_iter().map(target).collect()
}

/// Checks all targets; `progress` gets a line for each one that is done. The report has the order
/// of the targets.
pub async fn examine(config: &Config, targets: &[Target], progress: impl Fn(&str)) -> DoctorReport {
    let ecr = Arc::default();
    let checks = targets.iter().map(|target| target.examine(&ecr));
    let mut running = stream::iter(checks).buffer_unordered(MAX_CONCURRENT_UPSTREAMS);
    let mut upstreams: Vec<UpstreamReport> = Vec::with_capacity(targets.len());
    while let Some(report) = running.next().await {
        let done = upstreams.len() + 1;
        progress(&format!("{done}/{} {}", targets.len(), report.headline()));
        upstreams.push(report);
    }
    drop(running);
    upstreams.sort_by_key(|report| {
        let is_of_report = |target: &Target| report.name == target.host.as_str();
        targets.iter().position(is_of_report)
    });
    let exposures = config.exposures().into_iter();
    DoctorReport {
        upstreams,
        exposures: exposures.map(Into::into).collect(),
    }
}

impl Target {
    async fn examine(&self, ecr: &Arc<EcrTokens>) -> UpstreamReport {
        let mut report = UpstreamReport::new(&self.host);
        for endpoint in &self.config.endpoints {
            let checks = if self.config.offline {
                upstream::left_alone()
            } else {
                upstream::examine(self, endpoint, ecr).await
            };
            report.add(&endpoint.url, checks);
        }
        report
    }
}

fn configured(config: &Config) -> String {
    let patterns = config.upstreams.patterns();
    let names: Vec<_> = patterns.map(HostPattern::as_str).collect();
    names.join(", ")
}
