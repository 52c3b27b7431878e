//! `archway doctor clients --records`: the nodes of the cluster that never came, and the pulls that went
//! past Archway, by what it has seen and what the kubelets say.

use std::{fmt::Write as _, path::PathBuf};

use clap::Args;
use client::Server;
use cluster::KubeletPull;
use doctor::Records;
use protocol::error_chain::ErrorChain;

use crate::cli::output::Failure;

/// Where the kubelets' words are read.
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// Nodes of the cluster that never came, and pulls of the last hour that went past Archway
    #[arg(long)]
    pub(super) records: bool,
    /// Way to the cluster's API, for --probe-pods and the kubelets' events [default: the service account of this pod, if any]
    #[arg(long, value_name = "FILE", requires = "cluster")]
    pub(super) kubeconfig: Option<PathBuf>,
}

/// Why there are no records.
#[derive(Debug, thiserror::Error)]
enum RecordsError {
    #[error(
        "this Archway does not follow the nodes of a cluster; set nodes = true in [platform.kubernetes]"
    )]
    Off,
    #[error("this Archway does not have the whole list of nodes at the moment; its log says why")]
    Incomplete,
}

impl RecordArgs {
    /// Compares what `server` has seen with its nodes, and with what their kubelets say.
    pub(super) async fn look(&self, server: &Server) -> Result<Records, Failure> {
        let report = server.nodes().await?;
        let complaint = match (report.on, report.watched) {
            (false, _) => Some(RecordsError::Off),
            (true, false) => Some(RecordsError::Incomplete),
            (true, true) => None,
        };
        if let Some(error) = complaint {
            return Err(Failure::unusable(&error));
        }
        let mut records = Records::of(&report);
        match KubeletPull::all(self.kubeconfig.as_deref()).await {
            Ok(pulls) => records.compare(&report, &pulls),
            // Without a way to the API the half of it is worth having; one that was named has to lead there.
            Err(error) if self.kubeconfig.is_some() => return Err(Failure::unusable(&error)),
            Err(error) => {
                let _ = writeln!(
                    records.text,
                    "not compared with the kubelets' events: {}",
                    ErrorChain(&error)
                );
            }
        }
        Ok(records)
    }
}
