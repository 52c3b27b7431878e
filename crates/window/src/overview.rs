//! Whether it is well, what it is worth, and what it is doing.

use std::collections::BTreeSet;

use admin_api::{Overview, PullsLeft, Time, Traffic, Trouble};

use crate::{counted::Counted, history, parts::Parts, troubles};

pub(crate) fn gather(parts: &Parts) -> Overview {
    let counted = parts.counted();
    let lately = parts.past.of_the_hour(&counted);
    let statuses = parts.pull.upstreams().endpoint_statuses();
    let troubles = troubles::gather(parts, &counted, &lately, &statuses);
    let in_use: BTreeSet<_> = statuses.iter().map(|status| &status.upstream).collect();
    let in_trouble = statuses
        .iter()
        .filter(|status| status.outage.is_some() || !status.held.is_empty());
    let in_trouble: BTreeSet<_> = in_trouble
        .map(|status| status.upstream.to_string())
        .collect();
    let left = counted.by("upstream_pulls_remaining", "upstream");
    let least = left.into_iter().min_by_key(|(_, left)| *left);
    Overview {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: parts.started,
        now: Time::now(),
        sentence: sentence(&troubles),
        traffic: traffic(&counted),
        disk: parts.disk(),
        fills: parts.pull.fills_now(),
        errors_last_hour: lately.errors,
        platform_missing_last_hour: lately.platform_missing,
        upstreams: in_use.len(),
        upstreams_in_trouble: in_trouble.into_iter().collect(),
        pulls_left: least.map(|(upstream, left)| PullsLeft { upstream, left }),
        troubles,
    }
}

fn sentence(troubles: &[Trouble]) -> String {
    if troubles.is_empty() {
        return "Well.".to_owned();
    }
    let sentences: Vec<_> = troubles.iter().map(|one| one.sentence.as_str()).collect();
    sentences.join(" ")
}

fn traffic(counted: &Counted) -> Traffic {
    let sent = counted.sum("sent_bytes_total");
    let received = counted.sum("upstream_received_bytes_total");
    let saved = sent.saturating_sub(received);
    Traffic {
        sent,
        received,
        saved,
        hit_ratio: ratio(saved, sent),
        requests: counted.sum("requests_total"),
        hits: history::hits(counted),
        upstream_calls: counted.sum("upstream_request_duration_seconds_count"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share is told in hundredths")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
