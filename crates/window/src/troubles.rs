//! What is wrong, each thing in one sentence.

use std::{collections::BTreeMap, time::Duration};

use admin_api::{Time, Trouble, TroubleKind};
use protocol::host::Host;
use upstream::EndpointStatus;

use crate::{counted::Counted, history::LastHour, parts::Parts};

/// How long before its end a certificate is told of.
const CERTIFICATE_NOTICE: Duration = Duration::from_hours(14 * 24);

/// How long before its end a token is told of whose renewal fails.
const TOKEN_NOTICE: Duration = Duration::from_hours(1);

/// The most platforms that are told to be missing.
const MAX_PLATFORMS: usize = 3;

/// All that is wrong, the worst first.
pub(crate) fn gather(
    parts: &Parts,
    counted: &Counted,
    lately: &LastHour,
    statuses: &[EndpointStatus],
) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    of_upstreams(statuses, &mut troubles);
    of_counts(counted, lately, &mut troubles);
    of_expiries(counted, lately, &mut troubles);
    if let Some(full) = parts.pull.full_disk() {
        let sentence = format!("The disk takes no downloads, which go past the cache: {full}.");
        let mut trouble = Trouble::new(TroubleKind::DiskFull, sentence);
        trouble.cause = Some(full);
        trouble.count = Some(lately.unstored);
        troubles.push(trouble);
    }
    if parts.is_stopping() {
        let sentence = "Shutting down.".to_owned();
        troubles.push(Trouble::new(TroubleKind::ShuttingDown, sentence));
    }
    troubles.sort_by_key(|trouble| trouble.kind);
    troubles
}

fn of_upstreams(statuses: &[EndpointStatus], troubles: &mut Vec<Trouble>) {
    let mut by_host: BTreeMap<&Host, Vec<&EndpointStatus>> = BTreeMap::new();
    for status in statuses {
        by_host.entry(&status.upstream).or_default().push(status);
    }
    for (host, endpoints) in by_host {
        let is_all = endpoints.iter().all(|status| status.outage.is_some());
        for status in &endpoints {
            let Some(outage) = &status.outage else {
                continue;
            };
            let since: Time = outage.since_when().into();
            let (kind, who) = if is_all {
                (TroubleKind::UpstreamDown, host.to_string())
            } else {
                let at = format!(
                    "{} of {host}, whose other endpoint answers,",
                    status.endpoint
                );
                (TroubleKind::EndpointDown, at)
            };
            let sentence = format!("{who} has not answered since {since}: {}.", outage.reason);
            let mut trouble = Trouble::new(kind, sentence);
            trouble.of = Some(host.to_string());
            trouble.since = Some(since);
            trouble.until = Some(Time::after(outage.rest()));
            trouble.cause = Some(outage.reason.to_string());
            troubles.push(trouble);
            if is_all {
                break;
            }
        }
        let pauses = endpoints.iter().flat_map(|status| &status.held);
        if let Some(left) = pauses.map(|pause| pause.left).max() {
            let seconds = left.as_secs() + 1;
            let sentence = format!("{host} limits our calls for another {seconds} s.");
            let mut trouble = Trouble::new(TroubleKind::UpstreamThrottles, sentence);
            trouble.of = Some(host.to_string());
            trouble.until = Some(Time::after(left));
            troubles.push(trouble);
        }
    }
}

fn of_counts(counted: &Counted, lately: &LastHour, troubles: &mut Vec<Trouble>) {
    let mut add = |kind, count: u64, of: Option<String>, sentence: String| {
        if count > 0 {
            let mut trouble = Trouble::new(kind, sentence);
            trouble.of = of;
            trouble.count = Some(count);
            troubles.push(trouble);
        }
    };
    let (damaged, refused, stale) = (lately.damaged, lately.refused, lately.stale);
    add(
        TroubleKind::IntegrityFailure,
        damaged,
        None,
        format!(
            "In the last hour content was not what its digest says, and was discarded ({damaged}×)."
        ),
    );
    let refusing = counted.by_two("upstream_answers_total", ["upstream", "answer"]);
    let refusing = refusing
        .into_iter()
        .filter(|(labels, _)| labels[1] == "refused");
    let most = refusing.max_by_key(|(_, count)| *count);
    let most = most.map(|([upstream, _], _)| upstream);
    let who = most.clone().unwrap_or_else(|| "An upstream".to_owned());
    add(
        TroubleKind::UpstreamRefuses,
        refused,
        most,
        format!("{who} refused requests in the last hour ({refused}×): check its credentials."),
    );
    add(
        TroubleKind::ServingStale,
        stale,
        None,
        format!(
            "In the last hour answers were stale, since an upstream did not confirm them ({stale}×)."
        ),
    );
    let missing = lately.platform_missing;
    let platforms = counted.by("platform_missing_total", "platform").into_iter();
    let mut platforms: Vec<_> = platforms.filter(|(_, count)| *count > 0).collect();
    platforms.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let names = platforms.into_iter().take(MAX_PLATFORMS);
    let names = names.map(|(name, _)| name).collect::<Vec<_>>().join(", ");
    let sentence = format!(
        "In the last hour clients asked for platforms that images lack ({missing}×): {names}."
    );
    add(TroubleKind::PlatformMissing, missing, Some(names), sentence);
    let waiting = counted.sum_where("slots_waiting", &[("of", "fill")]);
    add(
        TroubleKind::FillsQueued,
        waiting,
        None,
        format!("Downloads wait for a slot ({waiting})."),
    );
}

fn of_expiries(counted: &Counted, lately: &LastHour, troubles: &mut Vec<Trouble>) {
    let soon = |notice| Time::after(notice).seconds();
    let certificates = counted.by("tls_certificate_expiry_timestamp_seconds", "listener");
    let ending = certificates.into_iter();
    let ending = ending.filter(|(_, end)| *end > 0 && *end < soon(CERTIFICATE_NOTICE));
    for (listener, end) in ending {
        let end = Time::at(end);
        let verb = if end.wait().is_zero() {
            "ended"
        } else {
            "ends"
        };
        let sentence = format!("The certificate of {listener} {verb} at {end}.");
        let mut trouble = Trouble::new(TroubleKind::CertificateExpires, sentence);
        trouble.of = Some(listener);
        trouble.until = Some(end);
        troubles.push(trouble);
    }
    if lately.tokens_failed == 0 {
        return;
    }
    let failed = counted.by_two("upstream_token_renewals_total", ["upstream", "result"]);
    let tokens = counted.by("upstream_token_expiry_timestamp_seconds", "upstream");
    let tokens = tokens.into_iter();
    let ending = tokens.filter(|(_, end)| *end > 0 && *end < soon(TOKEN_NOTICE));
    for (upstream, end) in ending {
        if !failed.contains_key(&[upstream.clone(), "failed".to_owned()]) {
            continue;
        }
        let end = Time::at(end);
        let sentence = format!("The token for {upstream} runs out at {end}, and was not renewed.");
        let mut trouble = Trouble::new(TroubleKind::TokenExpires, sentence);
        trouble.of = Some(upstream);
        trouble.until = Some(end);
        trouble.count = Some(lately.tokens_failed);
        troubles.push(trouble);
    }
}
