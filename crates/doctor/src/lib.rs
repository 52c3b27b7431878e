//! What Archway and its clients depend on, tried the way they use it.
//!
//! Owns the checks of upstreams with their report ([`examine`]), and the questions to a node: is it
//! this Archway that answers there ([`Own`]), does the runtime ([`Cri`]) pull through it ([`probe`]),
//! do all nodes of a cluster ([`pods`]). Refuses command lines, and to change anything but what a
//! probe makes and takes away; the proxy never runs it. Every check has a timeout; upstreams are
//! checked side by side.

mod certificate;
mod clock;
mod cri;
mod image;
mod own;
pub mod pods;
pub mod probe;
mod records;
mod report;
mod upstream;

use std::sync::Arc;

use ::upstream::{EcrTokens, TokenError, own_region};
use config::{Auth, Config, UpstreamConfig};
use futures_util::{StreamExt, stream};
use protocol::host::{Host, HostPattern};

use self::report::UpstreamReport;
pub use self::{
    cri::{Cri, CriError, PulledImage},
    image::{ImageTag, ImageTagError},
    own::{NotOurs, Own},
    records::Records,
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
    /// Every upstream is a pattern, one is of ECR, and nothing tells the region.
    #[error(
        "every upstream of the configuration is a pattern, and nothing names the region of this \
         machine: set AWS_REGION, or name a registry such as \
         123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    )]
    NoRegion,
    /// Every upstream is a pattern, one is of ECR, and AWS does not tell the account.
    #[error(
        "every upstream of the configuration is a pattern, and the account of this identity in \
         {region} cannot be learned; name a registry such as \
         123456789012.dkr.ecr.{region}.amazonaws.com"
    )]
    NoAccount {
        /// The region of this machine.
        region: String,
        /// AWS's answer.
        source: TokenError,
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

/// As [`targets`], where all that is configured is patterns: then the ECR registry of the account and
/// region of this machine, if a pattern means that.
pub async fn targets_or_own(
    config: &Config,
    names: &[Host],
    images: &[ImageTag],
) -> Result<Vec<Target>, TargetError> {
    match targets(config, names, images) {
        Err(TargetError::OnlyPatterns { patterns }) => match own_ecr(config).await? {
            Some(own) => targets(config, &[own], images),
            None => Err(TargetError::OnlyPatterns { patterns }),
        },
        known => known,
    }
}

/// The account of a name that stands for any.
const ANY_ACCOUNT: &str = "000000000000";

async fn own_ecr(config: &Config) -> Result<Option<Host>, TargetError> {
    let region = own_region().await;
    // Without a region, another one still tells whether a pattern is of ECR.
    let named = region.as_deref().unwrap_or("us-east-1");
    let suffix = if named.starts_with("cn-") { ".cn" } else { "" };
    let any = format!("{ANY_ACCOUNT}.dkr.ecr.{named}.amazonaws.com{suffix}").parse();
    let found = any.ok().and_then(|any: Host| config.upstreams.find(&any));
    let auth = found.and_then(|found| match &found.endpoints.first()?.auth {
        Auth::Ecr(auth) => Some(auth.clone()),
        _ => None,
    });
    let Some(auth) = auth else {
        return Ok(None);
    };
    let region = region.ok_or(TargetError::NoRegion)?;
    let own = EcrTokens::default().own_registry(&auth).await;
    let own = own.map_err(|source| TargetError::NoAccount { region, source })?;
    Ok(Some(own))
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
