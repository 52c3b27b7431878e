//! Which platforms are asked for, and what was learned of that.

use std::collections::{BTreeMap, BTreeSet};

use admin_api::{LearnedPlace, PlatformCount, PlatformWeight, Platforms};
use cache::CacheError;
use config::{Prefetch, PrefetchConfig};

use crate::{counted::Counted, parts::Parts};

/// Places that are told.
const MAX_PLACES: usize = 500;

pub(crate) fn gather(parts: &Parts) -> Result<Platforms, CacheError> {
    let config = parts.config.current();
    // A platform has a slash. Other kinds are marks of the prefetching.
    let is_platform = |kind: &str| kind.contains('/');
    let learned = parts.pull.cache().learned();
    let places = learned.places(is_platform, MAX_PLACES, config.prefetch.half_life)?;
    let mut places: Vec<_> = places.into_iter().map(place).collect();
    let weight = |place: &LearnedPlace| place.platforms.iter().map(|one| one.weight).sum::<f64>();
    places.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    Ok(Platforms {
        wanted: wanted(parts, &config.prefetch, &places),
        default: Some(config.platform.default.to_string()),
        platforms: counts(parts, &parts.counted()),
        learned: places,
    })
}

/// The platforms that images are downloaded for ahead of clients.
fn wanted(parts: &Parts, prefetch: &PrefetchConfig, places: &[LearnedPlace]) -> Vec<String> {
    let mut wanted = BTreeSet::new();
    if prefetch.mode == Prefetch::Learned {
        // An upstream's own place has no slash.
        let upstreams = places.iter().filter(|place| !place.place.contains('/'));
        let learned = upstreams.flat_map(|place| &place.platforms);
        wanted.extend(learned.map(|one| one.platform.clone()));
    }
    if prefetch.nodes {
        let nodes = parts.nodes.counts().into_iter();
        wanted.extend(nodes.map(|count| count.platform.to_string()));
    }
    wanted.into_iter().collect()
}

fn place(place: cache::LearnedPlace) -> LearnedPlace {
    let kinds = place.kinds.into_iter().map(|kind| PlatformWeight {
        platform: kind.kind,
        weight: kind.weight,
    });
    LearnedPlace {
        place: place.place,
        platforms: kinds.collect(),
    }
}

fn counts(parts: &Parts, counted: &Counted) -> Vec<PlatformCount> {
    let mut all: BTreeMap<String, PlatformCount> = BTreeMap::new();
    let mut add = |sums: BTreeMap<String, u64>, field: fn(&mut PlatformCount) -> &mut u64| {
        for (platform, count) in sums {
            let row = all
                .entry(platform.clone())
                .or_insert_with(|| PlatformCount {
                    platform,
                    ..PlatformCount::default()
                });
            *field(row) += count;
        }
    };
    let by = |name| counted.by(name, "platform");
    add(by("platform_requests_total"), |row| &mut row.requests);
    add(by("platform_missing_total"), |row| &mut row.missing);
    add(by("substitutions_total"), |row| &mut row.substitutions);
    let images = counted.by_two("images", ["platform", "state"]);
    let of_state = |wanted: &str| {
        let of_state = images.iter().filter(|(labels, _)| labels[1] == wanted);
        of_state
            .map(|([platform, _], count)| (platform.clone(), *count))
            .collect()
    };
    add(of_state("cached"), |row| &mut row.cached);
    add(of_state("partial"), |row| &mut row.partial);
    let nodes = parts.nodes.counts().into_iter();
    let nodes = nodes.map(|count| (count.platform.to_string(), count.nodes as u64));
    add(nodes.collect(), |row| &mut row.nodes);
    let told = all.into_values().filter(|row| {
        let numbers = [
            row.requests,
            row.missing,
            row.substitutions,
            row.cached,
            row.partial,
            row.nodes,
        ];
        numbers.iter().any(|number| *number > 0)
    });
    let mut told: Vec<_> = told.collect();
    told.sort_by(|a, b| {
        b.requests
            .cmp(&a.requests)
            .then(a.platform.cmp(&b.platform))
    });
    told
}
