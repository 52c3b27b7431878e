//! The events at the API, and the kubelet's words in them.

use std::{borrow::Cow, path::Path, time::Duration};

use kube::{
    Api,
    api::ListParams,
    core::{NamespaceResourceScope, ObjectMeta, Resource},
};
use serde::Deserialize;

use super::KubeletPull;
use crate::{
    api::{self, FORBIDDEN},
    error::ClusterError,
};

/// The most events that are read.
const MAX_EVENTS: usize = 100_000;
const PAGE: u32 = 500;

/// Of a pull that was made. The same reason with other words says that the image was there already.
const MADE: &str = "Successfully pulled image \"";

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventObject {
    #[serde(default)]
    metadata: ObjectMeta,
    message: Option<String>,
    source: Option<Source>,
    reporting_instance: Option<String>,
    last_timestamp: Option<String>,
    event_time: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Source {
    host: Option<String>,
}

impl Resource for EventObject {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Event".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "events".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

pub(super) async fn pulled(kubeconfig: Option<&Path>) -> Result<Vec<KubeletPull>, ClusterError> {
    let events = Api::<EventObject>::all(api::client(kubeconfig).await?);
    let mut asked = ListParams::default()
        .fields("reason=Pulled,involvedObject.kind=Pod")
        .limit(PAGE);
    let (mut pulls, mut seen) = (Vec::new(), 0);
    loop {
        let page = events.list(&asked).await.map_err(judged)?;
        seen += page.items.len();
        pulls.extend(page.items.iter().filter_map(EventObject::pull));
        match page.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) if seen < MAX_EVENTS => asked = asked.continue_token(&next),
            _ => return Ok(pulls),
        }
    }
}

fn judged(error: kube::Error) -> ClusterError {
    match &error {
        kube::Error::Api(status) if status.code == FORBIDDEN => {
            ClusterError::NoEvents(error.into())
        }
        _ => ClusterError::Failed(error.into()),
    }
}

impl EventObject {
    fn pull(&self) -> Option<KubeletPull> {
        let (image, rest) = self.message.as_ref()?.strip_prefix(MADE)?.split_once('"')?;
        let host = self.source.as_ref().and_then(|source| source.host.clone());
        let node = host
            .filter(|host| !host.is_empty())
            .or_else(|| self.reporting_instance.clone())?;
        let times = [&self.last_timestamp, &self.event_time];
        let ended = times
            .into_iter()
            .flatten()
            .find_map(|time| humantime::parse_rfc3339_weak(time.trim_end_matches('Z')).ok())?;
        Some(KubeletPull {
            node,
            image: image.to_owned(),
            ended,
            took: took(rest),
        })
    }
}

/// ` in 1.2s (3m4.5s including waiting). Image size: ...`: the time with the waiting, else without.
fn took(words: &str) -> Duration {
    let waiting = words
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(" including"));
    let alone = words.split_once(" in ").map(|(_, rest)| rest);
    let text = waiting.map(|(time, _)| time).or(alone);
    text.and_then(|text| text.split(' ').next())
        .map_or(Duration::ZERO, duration)
}

/// `1m2.5s`, as Go writes it; zero for anything else.
fn duration(text: &str) -> Duration {
    let mut sum = 0.0;
    let mut number = String::new();
    let mut letters = text.trim_end_matches('.').chars().peekable();
    while let Some(letter) = letters.next() {
        let factor = match letter {
            '0'..='9' | '.' => {
                number.push(letter);
                continue;
            }
            'h' => 3600.0,
            'm' if letters.next_if_eq(&'s').is_some() => 0.001,
            'm' => 60.0,
            's' => 1.0,
            _ => return Duration::ZERO,
        };
        sum += std::mem::take(&mut number).parse().unwrap_or(0.0) * factor;
    }
    Duration::try_from_secs_f64(sum).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn pull(json: &str) -> Option<KubeletPull> {
        let event: EventObject = serde_json::from_str(json).unwrap();
        event.pull()
    }

    #[test]
    fn a_pull_is_what_the_kubelet_says_was_made() {
        let made = r#"{"metadata": {"name": "a"}, "reason": "Pulled",
            "message": "Successfully pulled image \"docker.io/library/nginx:1\" in 1.5s (1m2.25s including waiting). Image size: 7 bytes.",
            "source": {"component": "kubelet", "host": "one"}, "lastTimestamp": "2026-11-29T10:00:00Z"}"#;
        let found = pull(made).unwrap();
        assert_eq!(
            (&*found.node, &*found.image),
            ("one", "docker.io/library/nginx:1")
        );
        assert_eq!(found.took, Duration::from_millis(62_250));
        assert!(found.began() < found.ended && found.ended > SystemTime::UNIX_EPOCH);
        let newer = made
            .replace("\"host\": \"one\"", "\"host\": \"\"")
            .replace("\"reason\"", "\"reportingInstance\": \"two\", \"reason\"");
        assert_eq!(pull(&newer).unwrap().node, "two");
        let there = made.replace("Successfully pulled image", "Container image");
        assert_eq!(pull(&there), None);
    }

    #[test]
    fn times_are_gos() {
        for (text, expected) in [
            (
                " in 350ms (350ms including waiting). Image size: 7 bytes.",
                350,
            ),
            (" in 1m30.5s", 90_500),
            (" in 2s", 2_000),
            ("", 0),
            (" in a moment", 0),
        ] {
            assert_eq!(took(text).as_millis(), expected, "{text}");
        }
    }
}
