//! What a shared Archway has seen of the nodes of its cluster, and what their kubelets say.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use cluster::{KubeletPull, NodeReport, ReportedNode};
use protocol::image_name::ImageName;

/// How much later than its last question a node's pull may begin without being past us: an answer that is
/// replayed is not noted, and clocks differ.
const SLACK: Duration = Duration::from_secs(30);

/// What was found, a line for each fault.
#[derive(Clone, Debug)]
pub struct Records {
    /// The lines.
    pub text: String,
    /// Whether there is no fault.
    pub is_good: bool,
}

impl Records {
    /// How many nodes have come, and those that never did.
    pub fn of(report: &NodeReport) -> Self {
        let all = report.nodes.len();
        let came = report
            .nodes
            .iter()
            .filter(|node| node.last_pull.is_some())
            .count();
        let silent: Vec<&ReportedNode> = report.nodes.iter().filter(|node| node.silent).collect();
        let young = all - came - silent.len();
        let mut text =
            format!("{came} of {all} nodes have pulled here, {young} have not had the time to\n");
        for node in &silent {
            let (name, addresses) = (&node.name, node.addresses.join(", "));
            let platform = node.platform.as_deref().unwrap_or("platform not told");
            let _ = writeln!(
                text,
                "finding: {name} ({addresses}, {platform}) has never pulled here: run `archway doctor clients --node` there"
            );
        }
        Self {
            text,
            is_good: silent.is_empty(),
        }
    }

    /// Adds the pulls of nodes that had not asked here since they began, by node and registry.
    pub fn compare(&mut self, report: &NodeReport, pulls: &[KubeletPull]) {
        let last: BTreeMap<&str, Option<SystemTime>> = (report.nodes.iter())
            .map(|node| (&*node.name, node.last_pull.map(|moment| moment.0)))
            .collect();
        let mut past: BTreeMap<(&str, String), usize> = BTreeMap::new();
        for pull in pulls {
            let Some(last) = last.get(&*pull.node) else {
                continue;
            };
            if is_past(*last, pull) {
                *past.entry((&pull.node, registry(&pull.image))).or_default() += 1;
            }
        }
        let _ = writeln!(self.text, "{} pulls in the kubelets' events", pulls.len());
        for ((node, registry), times) in &past {
            let _ = writeln!(
                self.text,
                "finding: {node} pulled from {registry} {times} times and did not ask here: run `archway doctor clients --node` there"
            );
        }
        self.is_good &= past.is_empty();
    }
}

/// Whether a node that asked here last at this time made a pull without it.
fn is_past(asked: Option<SystemTime>, pull: &KubeletPull) -> bool {
    let due: SystemTime = pull.began() - SLACK;
    asked.is_none_or(|asked| asked < due)
}

/// The registry of an image, as the runtime takes its name.
fn registry(image: &str) -> String {
    let named = image.parse::<ImageName>().ok().and_then(|name| name.host);
    named.map_or_else(|| "docker.io".to_owned(), |host| host.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use cluster::Moment;

    use super::*;

    fn node(name: &str, last_pull: Option<u64>, silent: bool) -> ReportedNode {
        ReportedNode {
            name: name.to_owned(),
            platform: Some("linux/arm64".to_owned()),
            addresses: vec!["10.0.0.1".to_owned()],
            listed: Moment(UNIX_EPOCH),
            last_pull: last_pull.map(|seconds| Moment(UNIX_EPOCH + Duration::from_secs(seconds))),
            silent,
        }
    }

    fn pull(node: &str, image: &str, ended: u64) -> KubeletPull {
        KubeletPull {
            node: node.to_owned(),
            image: image.to_owned(),
            ended: UNIX_EPOCH + Duration::from_secs(ended),
            took: Duration::from_secs(10),
        }
    }

    #[test]
    fn nodes_that_never_came_and_pulls_that_did_not_ask_are_each_a_finding() {
        let report = NodeReport {
            on: true,
            watched: true,
            platforms: Vec::new(),
            nodes: vec![
                node("asks", Some(1_000), false),
                node("new", None, false),
                node("silent", None, true),
            ],
        };
        let mut records = Records::of(&report);
        records.compare(
            &report,
            &[
                pull("asks", "ghcr.io/a/b:1", 1_005),
                pull("asks", "ghcr.io/a/b:1", 2_000),
                pull("silent", "nginx", 1_000),
                pull("silent", "docker.io/library/nginx:1", 1_000),
                pull("gone", "nginx", 1_000),
            ],
        );
        assert!(!records.is_good);
        let fix = "run `archway doctor clients --node` there";
        let expected = format!(
            "1 of 3 nodes have pulled here, 1 have not had the time to\n\
             finding: silent (10.0.0.1, linux/arm64) has never pulled here: {fix}\n\
             5 pulls in the kubelets' events\n\
             finding: asks pulled from ghcr.io 1 times and did not ask here: {fix}\n\
             finding: silent pulled from docker.io 2 times and did not ask here: {fix}\n"
        );
        assert_eq!(records.text, expected);
    }
}
