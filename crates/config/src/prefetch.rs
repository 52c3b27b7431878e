//! `[prefetch]`: downloads before a client asks.

use std::time::Duration;

use serde::Serialize;

use crate::{
    meaning::{Meaning, Wrong},
    platform::KubernetesConfig,
    problem::Problem,
    show, suggest,
    table::Table,
    units::{Interval, Size, Timeout},
};

const DEFAULT_RUNNING: usize = 4;
const MAX_RUNNING: usize = 256;
const DEFAULT_HALF_LIFE: Timeout = Timeout(Duration::from_hours(7 * 24));
const DEFAULT_REFRESH: Interval = Interval(Duration::ZERO);

/// The choice of images to download before a client asks, and the bounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PrefetchConfig {
    /// How the images are chosen.
    pub mode: Prefetch,
    /// Whether images are downloaded for the platforms of all nodes of the cluster too.
    pub nodes: bool,
    /// Prefetches at once; never zero.
    pub max_running: usize,
    /// The time after which a pull counts half; never zero.
    #[serde(serialize_with = "show::duration")]
    pub half_life: Duration,
    /// The bytes downloaded ahead from one upstream within an hour; none means a tenth of the bound
    /// on the cache's size.
    #[serde(serialize_with = "show::optional_size")]
    pub hourly_budget: Option<u64>,
    /// How often tags that are pulled here are revalidated without a client; zero is never.
    #[serde(serialize_with = "show::duration")]
    pub refresh: Duration,
}

/// How Archway decides what to prefetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Prefetch {
    /// Nothing is prefetched.
    Off,
    /// By the platforms that clients have pulled before.
    Learned,
}

impl PrefetchConfig {
    pub(crate) fn read(table: &mut Table<'_>, kubernetes: &KubernetesConfig) -> Self {
        Self {
            mode: table.or("mode", Prefetch::Learned),
            nodes: nodes(table, kubernetes),
            max_running: table.count("max_running", 1..=MAX_RUNNING, DEFAULT_RUNNING),
            half_life: table.or("half_life", DEFAULT_HALF_LIFE).0,
            hourly_budget: table.take("hourly_budget").map(|Size(bytes)| bytes),
            refresh: table.or("refresh", DEFAULT_REFRESH).0,
        }
    }
}

/// Nodes that are not known have no platforms.
fn nodes(table: &mut Table<'_>, kubernetes: &KubernetesConfig) -> bool {
    let Some(flag) = table.spanned_flag("nodes") else {
        return false;
    };
    if *flag.get_ref() && !kubernetes.nodes {
        let problem = Problem::new(flag.span(), "`nodes` needs the nodes of the cluster")
            .label("they are not known here")
            .help("set `nodes = true` in [platform.kubernetes] too");
        table.problems.add(problem);
    }
    flag.into_inner()
}

impl Meaning for Prefetch {
    const WHAT: &'static str = "one of the modes";
    const EXAMPLE: &'static str = "\"learned\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        suggest::word(text, [("off", Self::Off), ("learned", Self::Learned)])
    }
}
