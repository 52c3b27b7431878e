//! `archway client-config apply|remove|status containerd`: the configuration of this node.

use std::fmt::Write as _;

use clap::{Args, builder::PossibleValuesParser};

use super::{
    Told,
    place::{Containerd, OwnArchway, output},
    taint::TaintArgs,
    watch,
};
use crate::cli::{
    commands::commands,
    output::{CommandOutput, Exit, Failure, in_runtime},
};

commands! {
    /// Change or look at a client on this node
    pub(crate) enum NodeCommand {
        Apply(Apply),
        Remove(Remove),
        Status(NodeStatus),
    }
}

/// Lead this node's containerd to Archway, without a restart where that can be
#[derive(Debug, Args)]
#[command(after_help = APPLY_HELP)]
pub(crate) struct Apply {
    #[command(flatten)]
    place: NodePlace,
    #[command(flatten)]
    told: Told,
    #[command(flatten)]
    own: OwnArchway,
    /// Stay, keep the files as they should be, and remove them at the end or when Archway is gone
    #[arg(long)]
    watch: bool,
    /// Keep the files at the end of --watch, for the time until the next one
    #[arg(long, requires = "watch")]
    keep_on_exit: bool,
    #[command(flatten)]
    taint: TaintArgs,
}

/// Take Archway's tables away again, and leave every other byte as it is
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 nothing of Archway's is left; 2 something could not be removed.

Example:
  archway client-config remove containerd")]
pub(crate) struct Remove {
    #[command(flatten)]
    place: NodePlace,
}

/// Say whether this node's containerd is led to Archway as `apply` would do it
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 it is; 1 it is not; 2 that cannot be said.

Example:
  archway client-config status containerd --server http://127.0.0.1:5000")]
pub(crate) struct NodeStatus {
    #[command(flatten)]
    place: NodePlace,
    #[command(flatten)]
    told: Told,
}

const APPLY_HELP: &str = "\
Nothing is written before Archway has answered: the id on a ping of --server must be the one that
the admin listener names. Files of others keep every byte; Archway's table is put first, and
`remove` takes it away. Each change is there or not, whenever this is killed.

With --watch it repairs what others change, and takes the files away on SIGTERM, or when Archway
has not answered for a while; so a pod of it is to be ended before the Archway beside it.
--startup-taint takes a taint from the node, by its key, as soon as containerd is led to an
Archway that has answered.

Exit codes: 0 applied; 1 applied, but containerd reads it only after a change of config.toml and a
restart, which are named; 2 not applied, or not all of it.

Examples:
  archway client-config apply containerd
  archway client-config apply containerd --root /host --watch --server http://127.0.0.1:5000";

/// The node, and the containerd on it.
#[derive(Debug, Args)]
pub(crate) struct NodePlace {
    #[arg(
        help = "Client to look after",
        value_name = "CLIENT",
        value_parser = PossibleValuesParser::new(["containerd"])
    )]
    client: String,
    #[command(flatten)]
    containerd: Containerd,
}

impl Apply {
    fn run(&self) -> Result<CommandOutput, Failure> {
        let settings = self.told.settings()?;
        let place = &self.place.containerd;
        in_runtime(async {
            let own = self.own.of(&settings)?;
            if self.watch {
                return Ok(watch::run(
                    place,
                    &settings,
                    &own,
                    self.taint.taint(),
                    self.keep_on_exit,
                )
                .await);
            }
            let not_ours = |error| {
                Failure::unusable(&error)
                    .with_advice("Nothing was written: containerd would ask it first.")
            };
            own.prove().await.map_err(not_ours)?;
            let node = place
                .node()
                .await
                .map_err(|error| Failure::unusable(&error))?;
            let applied = node.apply(&settings);
            Ok(output(&applied.map_err(|error| Failure::unusable(&error))?))
        })
    }
}

impl Remove {
    fn run(&self) -> Result<CommandOutput, Failure> {
        let place = &self.place.containerd;
        let cleared = in_runtime(async {
            let cleared = place.clear().await;
            cleared.map_err(|error| Failure::unusable(&error))
        })?;
        Ok(output(&cleared))
    }
}

impl NodeStatus {
    fn run(&self) -> Result<CommandOutput, Failure> {
        let settings = self.told.settings()?;
        let place = &self.place.containerd;
        let node = in_runtime(async {
            place
                .node()
                .await
                .map_err(|error| Failure::unusable(&error))
        })?;
        let pending = node.pending(&settings);
        if pending.is_empty() {
            let done = format!("containerd is led to {}\n", settings.mirror);
            return Ok(CommandOutput::success(done));
        }
        let mut out = String::new();
        for change in &pending.made {
            let _ = writeln!(out, "missing: {change}");
        }
        for fault in &pending.faults {
            let _ = writeln!(out, "left: {fault}");
        }
        out.push_str(pending.restart.as_deref().unwrap_or_default());
        Ok(CommandOutput::new(out, Exit::Negative))
    }
}
