//! Host names of private ECR registries: `ACCOUNT.dkr.ecr[-fips].REGION.SUFFIX`, in every
//! partition.
//!
//! Dual-stack names (IPv4 and IPv6) write `dkr-ecr` and have suffixes of their own. ECR Public is
//! another service with one fixed name, and not covered here.

use std::iter;

/// The domains behind `dkr.ecr.REGION.`: commercial and US government, China, EU sovereign, and the
/// isolated partitions.
const SUFFIXES: [&str; 7] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];
/// The domains behind `dkr-ecr.REGION.`.
const DUAL_STACK_SUFFIXES: [&str; 2] = ["on.aws", "on.amazonwebservices.com.cn"];

/// The parts of a private ECR registry's host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcrHost {
    /// The twelve digits of the AWS account that owns the registry.
    pub account: String,
    /// For example `eu-west-1` or `cn-north-1`.
    pub region: String,
    /// The partition's domain, for example `amazonaws.com.cn`.
    pub suffix: &'static str,
    /// The kind of endpoint.
    pub variant: EcrVariant,
}

/// The kind of endpoint: a registry has a name for each, and so has the ECR API.
#[derive(Clone, Debug, Copy, Default, PartialEq, Eq, Hash)]
pub struct EcrVariant {
    /// Whether this is the FIPS 140 endpoint.
    pub fips: bool,
    /// Whether this endpoint has IPv6 addresses as well.
    pub dual_stack: bool,
}

impl EcrHost {
    /// Reads a lower-case host name. A name with a port is not ECR's. A name whose region cannot be
    /// one is refused: clients choose the name, and every region costs a token of its own.
    pub(super) fn parse(host: &str) -> Option<Self> {
        Self::split(host).filter(|ecr| is_region(&ecr.region))
    }

    /// Whether a name, perhaps with stars in its region, can be ECR's.
    pub(super) fn may_be(name: &str) -> bool {
        Self::split(name).is_some_and(|ecr| ecr.region.contains('*') || is_region(&ecr.region))
    }

    fn split(host: &str) -> Option<Self> {
        let (account, rest) = host.split_once('.')?;
        let (rest, suffixes, dual_stack) = match rest.strip_prefix("dkr-ecr") {
            Some(rest) => (rest, DUAL_STACK_SUFFIXES.as_slice(), true),
            None => (rest.strip_prefix("dkr.ecr")?, SUFFIXES.as_slice(), false),
        };
        let (rest, fips) = match rest.strip_prefix("-fips") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (region, suffix) = rest.strip_prefix('.')?.split_once('.')?;
        let suffix = suffixes.iter().find(|known| **known == suffix)?;
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        is_account.then(|| Self {
            account: account.into(),
            region: region.into(),
            suffix,
            variant: EcrVariant { fips, dual_stack },
        })
    }
}

/// Whether a label has the shape of a region's name: `us-east-1`, `us-gov-west-1`,
/// `eusc-de-east-1`.
fn is_region(label: &str) -> bool {
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    let words: Vec<_> = label.split('-').collect();
    let [area, place @ .., number] = &words[..] else {
        return false;
    };
    (2..=5).contains(&area.len())
        && !place.is_empty()
        && iter::once(area).chain(place).all(is_word)
        && (1..=2).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
}

/// The texts of the patterns that together cover every private ECR registry.
pub(super) fn every_pattern() -> impl Iterator<Item = String> {
    let plain = SUFFIXES.iter().map(|suffix| ("dkr.ecr", suffix));
    let dual_stack = DUAL_STACK_SUFFIXES.iter().map(|suffix| ("dkr-ecr", suffix));
    plain.chain(dual_stack).flat_map(|(service, suffix)| {
        ["", "-fips"].map(|fips| format!("*.{service}{fips}.*.{suffix}"))
    })
}
