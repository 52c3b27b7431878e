//! A `Pod` of the API: what ours has to be so that any namespace takes it, and what its kubelet says of it.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use kube::core::{NamespaceResourceScope, ObjectMeta, Resource};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{LABEL, PodNetwork, Tried};

/// How the names of the containers begin; a number follows, by the order of the images.
const CONTAINER: &str = "image-";

/// What the kernel says of a program for another processor.
const FOREIGN_PROGRAM: &str = "exec format error";

/// A pod, of which only what is used is read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PodObject {
    #[serde(default)]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
    #[serde(default, skip_serializing)]
    status: PodStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: String,
    reason: String,
    message: String,
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    name: String,
    state: State,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    waiting: Option<Words>,
    terminated: Option<Ended>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Words {
    reason: String,
    message: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Ended {
    exit_code: i32,
    #[serde(flatten)]
    words: Words,
}

impl Resource for PodObject {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// A pod on this node that Pod Security's `restricted` takes, unless its network is the node's.
pub(super) fn pod(
    node: &str,
    images: &[String],
    network: PodNetwork,
    within: Duration,
) -> PodObject {
    let containers = images.iter().enumerate().map(|(at, image)| {
        json!({
            "name": format!("{CONTAINER}{at}"),
            "image": image,
            "imagePullPolicy": "Always",
            // What the kernel says of a program is said in its log.
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "resources": {
                "requests": { "cpu": "1m", "memory": "4Mi" },
                "limits": { "cpu": "100m", "memory": "32Mi" },
            },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            },
        })
    });
    let spec = json!({
        "nodeName": node,
        "hostNetwork": network == PodNetwork::Host,
        "restartPolicy": "Never",
        "activeDeadlineSeconds": within.as_secs() + 60,
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        // Whatever keeps pods from the node: its mirror is asked all the same.
        "tolerations": [{ "operator": "Exists" }],
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": containers.collect::<Vec<_>>(),
    });
    let (key, value) = LABEL;
    PodObject {
        metadata: ObjectMeta {
            generate_name: Some(format!("{value}-")),
            labels: Some(BTreeMap::from([(key.to_owned(), value.to_owned())])),
            ..ObjectMeta::default()
        },
        spec,
        status: PodStatus::default(),
    }
}

impl PodObject {
    /// What became of each image; `None` for one that may still come, unless it is the last look.
    pub(super) fn tried(&self, images: usize, is_last: bool) -> Vec<Option<Tried>> {
        let one = |at: usize| {
            let name = format!("{CONTAINER}{at}");
            let mut statuses = self.status.container_statuses.iter();
            let state = statuses
                .find(|status| status.name == name)
                .map(|status| &status.state);
            state
                .and_then(State::tried)
                .or_else(|| self.refused())
                .or_else(|| is_last.then(|| late(state)))
        };
        (0..images).map(one).collect()
    }

    /// The kubelet would not have the pod at all.
    fn refused(&self) -> Option<Tried> {
        let PodStatus {
            phase,
            reason,
            message,
            ..
        } = &self.status;
        (phase == "Failed" && !reason.is_empty())
            .then(|| Tried::Unknown(format!("its kubelet refused the pod: {reason}: {message}")))
    }
}

impl State {
    fn tried(&self) -> Option<Tried> {
        if let Some(Ended { exit_code, words }) = &self.terminated {
            return Some(match exit_code {
                0 => Tried::Ran {
                    took: Duration::ZERO,
                },
                _ if words.is_foreign() => Tried::WrongArchitecture,
                // Its program does nothing but end with 0; a runtime may lose the kernel's words.
                _ => Tried::Unknown(format!("its program ended with {exit_code}: {words}")),
            });
        }
        let words = self.waiting.as_ref()?;
        match &*words.reason {
            "ErrImagePull" | "ImagePullBackOff" | "RegistryUnavailable" => {
                Some(Tried::NotPulled(words.message.clone()))
            }
            "ContainerCreating" | "PodInitializing" | "" => None,
            _ if words.is_foreign() => Some(Tried::WrongArchitecture),
            _ => Some(Tried::Unknown(words.to_string())),
        }
    }
}

fn late(state: Option<&State>) -> Tried {
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let words = waiting.map_or_else(|| "nothing".to_owned(), ToString::to_string);
    Tried::Unknown(format!("no end in time; its kubelet says {words}"))
}

impl Words {
    fn is_foreign(&self) -> bool {
        self.message.contains(FOREIGN_PROGRAM)
    }
}

impl std::fmt::Display for Words {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { reason, message } = self;
        match message.lines().next() {
            Some(message) => write!(formatter, "{reason}: {message}"),
            None => formatter.write_str(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(status: &str, is_last: bool) -> Vec<Option<Tried>> {
        let pod: PodObject =
            serde_json::from_str(&format!(r#"{{"metadata": {{}}, "status": {status}}}"#)).unwrap();
        pod.tried(1, is_last)
    }

    fn of_container(state: &str) -> Option<Tried> {
        let status = format!(
            r#"{{"phase": "Pending", "containerStatuses": [{{"name": "image-0", "state": {state}}}]}}"#
        );
        tried(&status, false).remove(0)
    }

    #[test]
    fn each_end_of_a_container_says_what_became_of_its_image() {
        let unknown = |text: &str| Some(Tried::Unknown(text.to_owned()));
        for (state, expected) in [
            (
                r#"{"terminated": {"exitCode": 0, "reason": "Completed"}}"#,
                Some(Tried::Ran {
                    took: Duration::ZERO,
                }),
            ),
            (
                r#"{"terminated": {"exitCode": 128, "reason": "StartError",
                    "message": "runc create failed: exec /probe: exec format error"}}"#,
                Some(Tried::WrongArchitecture),
            ),
            (
                r#"{"terminated": {"exitCode": 137, "reason": "OOMKilled"}}"#,
                unknown("its program ended with 137: OOMKilled"),
            ),
            (
                r#"{"waiting": {"reason": "ErrImagePull", "message": "not found"}}"#,
                Some(Tried::NotPulled("not found".to_owned())),
            ),
            (r#"{"waiting": {"reason": "ContainerCreating"}}"#, None),
            (r#"{"running": {}}"#, None),
            (
                r#"{"waiting": {"reason": "CreateContainerError", "message": "no room\nat all"}}"#,
                unknown("CreateContainerError: no room"),
            ),
        ] {
            assert_eq!(of_container(state), expected, "{state}");
        }
    }

    #[test]
    fn a_pod_that_is_refused_or_late_is_unknown_with_the_kubelets_words() {
        let refused = tried(
            r#"{"phase": "Failed", "reason": "OutOfpods", "message": "full"}"#,
            false,
        );
        let text = "its kubelet refused the pod: OutOfpods: full".to_owned();
        assert_eq!(refused, [Some(Tried::Unknown(text))]);
        assert_eq!(tried(r#"{"phase": "Pending"}"#, false), [None]);
        let text = "no end in time; its kubelet says nothing".to_owned();
        assert_eq!(
            tried(r#"{"phase": "Pending"}"#, true),
            [Some(Tried::Unknown(text))]
        );
    }

    #[test]
    fn a_pod_is_one_container_an_image_past_the_scheduler() {
        let images = ["a/x:1".to_owned(), "b/x:1".to_owned()];
        let made = pod("one", &images, PodNetwork::Own, Duration::from_mins(1));
        let json = serde_json::to_value(&made).unwrap();
        assert_eq!(json["spec"]["nodeName"], "one");
        assert_eq!(json["spec"]["containers"][1]["name"], "image-1");
        assert_eq!(json["spec"]["containers"][1]["image"], "b/x:1");
        assert_eq!(json["spec"]["hostNetwork"], false);
        assert_eq!(json["spec"]["activeDeadlineSeconds"], 120);
        assert!(json.get("status").is_none());
    }
}
