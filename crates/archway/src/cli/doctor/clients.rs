//! `archway doctor clients`: whether the clients of this node use Archway.

use clap::{ArgGroup, Args};
use client::Server;
use config::Config;
use doctor::{
    Cri, Own, Records,
    pods::OnNode,
    probe::{self, Probed},
};
use node::{Settings, containerd::Check};

use super::{pods::PodArgs, records::RecordArgs};
use crate::cli::{
    client_config::{
        Told,
        place::{AdminListener, Containerd},
    },
    output::{CommandOutput, Exit, Failure, in_runtime},
};

/// Check that this node pulls through Archway
#[derive(Debug, Args)]
#[command(
    after_help = HELP,
    group(ArgGroup::new("check").args(["node", "probe", "probe_pods", "records"]).multiple(true).required(true)),
    group(ArgGroup::new("cluster").args(["probe_pods", "records"]).multiple(true))
)]
pub(crate) struct Clients {
    /// Read the files of the node's containerd: where it asks, and what keeps it from Archway
    #[arg(long)]
    node: bool,
    /// Have the node's runtime pull an image that only this Archway can answer
    #[arg(long)]
    probe: bool,
    #[command(flatten)]
    pods: PodArgs,
    #[command(flatten)]
    records: RecordArgs,
    #[command(flatten)]
    told: Told,
    #[command(flatten)]
    admin: AdminListener,
    #[command(flatten)]
    containerd: Containerd,
}

const HELP: &str = "\
--node lists for each registry the places that containerd asks, in their order, and a finding with
its fix for each way in which it goes past Archway and says nothing. Nothing is changed, and
Archway is not asked. An `apply` in a fix takes the same flags.

--probe gets a name from Archway's admin listener, archway-probe/NONCE, which no registry has and
which is good for ten minutes, and has the runtime pull it from each registry that Archway serves,
as the kubelet would. The image is removed again. With --platform it has to be of that platform,
else of this machine's.

--probe-pods puts a pod on each node that is ready, past the scheduler, whose images are such
names, one of each registry, and deletes it when its kubelet has said what became of them. One
shared Archway answers for all nodes, as --admin names it, or with --node-admin each node's own.
It needs list for nodes, and create, get and delete for pods in the namespace, whose Pod Security
may be `restricted`. What an interrupted one leaves ends by itself, and goes by
`kubectl delete pods -l app.kubernetes.io/name=archway-probe`.

--records asks the admin listener of a shared Archway which nodes of its cluster have ever pulled
there, and compares that with what the kubelets say they pulled in the last hour, where the
cluster's API shows events. Of replicas each has records of its own.

Exit codes: 0 all is well; 1 findings; 2 the node, the cluster or Archway cannot be asked.

Examples:
  archway doctor clients --node
  archway doctor clients --node --root /host --registries docker.io,ghcr.io
  archway doctor clients --probe --registries docker.io,ghcr.io
  archway doctor clients --probe-pods --registries docker.io --server http://10.100.0.50:5000
  archway doctor clients --probe-pods --registries docker.io --node-admin 9464 --namespace archway
  archway doctor clients --records --admin http://127.0.0.1:9464 --kubeconfig ~/.kube/config";

impl Clients {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        let settings = self.told.settings()?;
        in_runtime(async {
            let (mut out, mut is_good) = (String::new(), true);
            if self.node {
                let check = self.check(&settings).await?;
                is_good &= check.findings.is_empty();
                out.push_str(&check.to_string());
                if check.findings.is_empty() {
                    out.push_str("no findings\n");
                }
            }
            if self.probe {
                let probed = match self.probe(&settings).await {
                    Ok(probed) => probed,
                    // What the files say may be why.
                    Err(failure) => {
                        let failed = CommandOutput::from(failure);
                        return Ok(CommandOutput { out, ..failed });
                    }
                };
                is_good &= probed.iter().all(Probed::is_good);
                out.extend(probed.iter().map(|probed| format!("{probed}\n")));
            }
            if self.pods.probe_pods {
                let tried = self.probe_pods(&settings).await?;
                is_good &= tried.iter().all(OnNode::is_good);
                out.extend(tried.iter().map(|tried| format!("{tried}\n")));
            }
            if self.records.records {
                let found = self.records(&settings).await?;
                is_good &= found.is_good;
                out.push_str(&found.text);
            }
            let exit = if is_good {
                Exit::Success
            } else {
                Exit::Negative
            };
            Ok(CommandOutput::new(out, exit))
        })
    }

    async fn records(&self, settings: &Settings) -> Result<Records, Failure> {
        let admin = self.admin.of(settings);
        let server = Server::new(&Config::embedded()?, None, Some(&admin));
        self.records.look(&server).await
    }

    async fn probe_pods(&self, settings: &Settings) -> Result<Vec<OnNode>, Failure> {
        let admin = self.admin.of(settings);
        let own = Own::new(settings, Some(&admin)).map_err(|error| Failure::unusable(&error))?;
        let kubeconfig = self.records.kubeconfig.as_deref();
        self.pods.probe(&own, admin, settings, kubeconfig).await
    }

    async fn check(&self, settings: &Settings) -> Result<Check, Failure> {
        let checked = self.containerd.check(settings).await;
        checked.map_err(|error| Failure::unusable(&error))
    }

    async fn probe(&self, settings: &Settings) -> Result<Vec<Probed>, Failure> {
        let admin = self.admin.of(settings);
        let own = Own::new(settings, Some(&admin)).map_err(|error| Failure::unusable(&error))?;
        own.prove_by_name(&admin, settings.registries.names())
            .await
            .map_err(|error| Failure::unusable(&error))?;
        let cri = Cri::connect(&self.containerd.socket()).await;
        let cri = cri.map_err(|error| Failure::unusable(&error))?;
        let probed = probe::run(&own, &admin, &cri, settings).await;
        probed.map_err(|error| Failure::unusable(&error))
    }
}
