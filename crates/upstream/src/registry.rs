//! The upstreams in use. Each is made on its first request and kept while it is used.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use arc_swap::ArcSwap;
use config::Upstreams;
use moka::{policy::EvictionPolicy, sync::Cache};
use protocol::host::{Host, HostPattern};
use tally::{Announced, UpstreamMetrics};
use tokio_util::task::TaskTracker;

use crate::{
    auth::EcrTokens,
    error::FetchError,
    metrics,
    policy::{EndpointStatus, Pause},
    upstream::Upstream,
};

/// Upstreams kept at the same time. One pattern, such as that of ECR, can match any number of
/// hosts.
const MAX_UPSTREAMS: u64 = 1000;

/// Those of them that have given nothing yet, of some 200 KiB each: a flood of made-up names puts
/// out only such names.
const MAX_UNPROVEN: u64 = 64;

/// All configured upstreams, by name.
#[derive(Debug)]
pub struct Registry {
    generation: ArcSwap<Generation>,
    ecr: Arc<EcrTokens>,
    metrics: UpstreamMetrics,
    /// Among how many processes each rate is divided.
    among: AtomicU32,
    /// The probes. Shutdown does not wait for them: their results are of no use then.
    tasks: TaskTracker,
}

/// The upstreams of one configuration: what is made of it never outlives it.
#[derive(Debug)]
struct Generation {
    config: Arc<Upstreams>,
    known: Cache<Host, Arc<Upstream>>,
    unproven: Cache<Host, Arc<Upstream>>,
}

impl Generation {
    fn of(config: Upstreams) -> Self {
        Self {
            config: Arc::new(config),
            known: Cache::new(MAX_UPSTREAMS),
            // By its last use: another policy may not take a new one at all.
            unproven: Cache::builder()
                .max_capacity(MAX_UNPROVEN)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
        }
    }

    fn get(&self, host: &Host) -> Option<Arc<Upstream>> {
        if let Some(known) = self.known.get(host) {
            return Some(known);
        }
        let upstream = self.unproven.get(host)?;
        if upstream.is_proven() {
            self.known.insert(host.clone(), Arc::clone(&upstream));
            self.unproven.invalidate(host);
        }
        Some(upstream)
    }

    /// Keeps an upstream. The one that all use: another request may have been first.
    fn keep(&self, host: Host, upstream: Arc<Upstream>) -> Arc<Upstream> {
        let place = if upstream.is_proven() {
            &self.known
        } else {
            &self.unproven
        };
        place.get_with(host, || upstream)
    }

    fn all(&self) -> impl Iterator<Item = Arc<Upstream>> {
        let all = self.known.iter().chain(self.unproven.iter());
        all.map(|(_, upstream)| upstream)
    }
}

impl Registry {
    /// Builds and contacts nothing before the first request.
    pub fn new(config: Upstreams, metrics: UpstreamMetrics) -> Self {
        count_from_now(&metrics, &config);
        Self {
            generation: ArcSwap::from_pointee(Generation::of(config)),
            ecr: Arc::default(),
            metrics,
            among: AtomicU32::new(1),
            tasks: TaskTracker::new(),
        }
    }

    /// The configuration of all upstreams.
    pub fn config(&self) -> Arc<Upstreams> {
        Arc::clone(&self.generation.load().config)
    }

    /// Puts another configuration in force. Upstreams that it leaves as they are keep their
    /// connections, credentials and health; calls under way end with the upstream they began with.
    pub fn replace(&self, config: Upstreams) {
        count_from_now(&self.metrics, &config);
        let next = Generation::of(config);
        for upstream in self.generation.load().all() {
            let host = upstream.host();
            if next.config.find(host).as_ref() == Some(upstream.config()) {
                next.keep(host.clone(), upstream);
            }
        }
        self.generation.store(Arc::new(next));
    }

    /// The upstream `host`; `None` if it is not configured.
    pub fn find(&self, host: &Host) -> Result<Option<Arc<Upstream>>, FetchError> {
        let generation = self.generation.load();
        if let Some(known) = generation.get(host) {
            return Ok(Some(known));
        }
        let Some(config) = generation.config.find(host) else {
            return Ok(None);
        };
        let tally = self.metrics.tally(&config.pattern);
        let tasks = self.tasks.clone();
        let made = Arc::new(Upstream::new(
            host.clone(),
            config,
            &self.ecr,
            tally,
            tasks,
        )?);
        made.divide_rates(self.among.load(Ordering::Relaxed));
        Ok(Some(generation.keep(host.clone(), made)))
    }

    /// From now on the rates of all upstreams are divided among so many processes that ask them.
    pub fn divide_rates(&self, among: u32) {
        if self.among.swap(among, Ordering::Relaxed) != among {
            let generation = self.generation.load();
            generation.all().for_each(|one| one.divide_rates(among));
        }
    }

    /// Holds back calls to an endpoint of an upstream, as that has asked another replica to do. Of one
    /// that is not configured here it is nothing.
    pub fn pause(&self, host: &Host, endpoint: &str, pause: Pause) {
        if let Ok(Some(upstream)) = self.find(host) {
            upstream.pause(endpoint, pause);
        }
    }

    /// Sets the gauges of the metrics to the state of the endpoints.
    pub fn observe(&self) {
        let config = self.config();
        let asked = config.patterns();
        metrics::observe(&self.metrics, asked, &self.endpoint_statuses());
    }

    /// How often a manifest, or a blob past the cache, did not have its digest.
    pub fn corrupt_answers(&self) -> u64 {
        self.metrics.corrupt()
    }

    /// What upstreams with this key in the configuration told last.
    pub fn announced(&self, pattern: &HostPattern) -> Announced {
        self.metrics.announced(pattern)
    }

    /// The state of every endpoint of the upstreams in use, in the order of their names.
    pub fn endpoint_statuses(&self) -> Vec<EndpointStatus> {
        let generation = self.generation.load();
        let mut known: Vec<_> = generation.all().collect();
        known.sort_by(|a, b| a.host().cmp(b.host()));
        known
            .iter()
            .flat_map(|upstream| upstream.endpoint_statuses())
            .collect()
    }
}

/// Has the counters of all upstreams with a name of their own at zero before one of them is asked: of
/// a counter that appears with its first event, that event is not seen to happen. Of the patterns, as
/// of all regions of ECR, most are never asked; they are counted from their first use on.
fn count_from_now(metrics: &UpstreamMetrics, config: &Upstreams) {
    let named = config.patterns();
    for pattern in named.filter(|pattern| pattern.exact().is_some()) {
        metrics.tally(pattern);
    }
}

#[cfg(test)]
mod tests {
    use config::Config;

    use super::*;

    fn upstreams(text: &str) -> Upstreams {
        Config::parse("archway.toml", text).unwrap().upstreams
    }

    #[test]
    fn an_upstream_that_stays_as_it_is_is_kept_and_another_is_made_anew() {
        let [same, changed, gone] =
            ["a.test", "b.test", "c.test"].map(|host| host.parse::<Host>().unwrap());
        let earlier =
            "offline = true\nupstream = { \"a.test\" = {}, \"b.test\" = {}, \"c.test\" = {} }";
        let later =
            "offline = true\nupstream = { \"a.test\" = {}, \"b.test\" = { tag_ttl = \"1s\" } }";
        let registry = Registry::new(upstreams(earlier), UpstreamMetrics::default());
        let find = |host: &Host| registry.find(host).unwrap();
        let before = [&same, &changed].map(|host| find(host).unwrap());
        assert!(find(&gone).is_some());
        registry.replace(upstreams(later));
        let after = [&same, &changed].map(|host| find(host).unwrap());
        assert!(Arc::ptr_eq(&before[0], &after[0]));
        assert!(!Arc::ptr_eq(&before[1], &after[1]));
        assert_eq!(after[1].config().tag_ttl.as_secs(), 1);
        assert!(find(&gone).is_none());
    }

    #[test]
    fn a_flood_of_made_up_names_puts_out_no_named_host_and_few_are_kept() {
        let text = "offline = true\nupstream = { \"a.test\" = {}, \"*.ecr.test\" = {} }";
        let registry = Registry::new(upstreams(text), UpstreamMetrics::default());
        let find = |name: &str| registry.find(&name.parse().unwrap()).unwrap().unwrap();
        let named = find("a.test");
        for number in 0..3 * MAX_UNPROVEN {
            find(&format!("{number}.ecr.test"));
        }
        let last = find("x.ecr.test");
        assert!(Arc::ptr_eq(&last, &find("x.ecr.test")), "a new one is kept");
        assert!(Arc::ptr_eq(&named, &find("a.test")));
        let generation = registry.generation.load();
        generation.unproven.run_pending_tasks();
        assert!(generation.unproven.entry_count() <= MAX_UNPROVEN);
    }
}
