//! `--startup-taint`: the taint of this node goes once its containerd is led to an Archway that answers.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use cluster::{StartupTaint, Tainted};
use protocol::error_chain::ErrorChain;
use tokio::time::timeout;

/// The longest time for one look: the files are looked after meanwhile by nobody.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two attempts that failed.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Between two looks while it is gone: who makes nodes may put it there again.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How long it may come back. A node that was started longer ago keeps what others put there.
const STARTS_FOR: Duration = Duration::from_mins(10);

/// The taint of a new node.
#[derive(Debug, Args)]
pub(crate) struct TaintArgs {
    /// Key of a taint to take from this node once containerd is led to an Archway that answers
    #[arg(long, value_name = "KEY", requires = "watch", requires = "node_name")]
    startup_taint: Option<String>,
    /// This node's name in its cluster
    #[arg(long, value_name = "NAME", requires = "startup_taint")]
    node_name: Option<String>,
    /// Way to the cluster's API [default: the service account of this pod]
    #[arg(long, value_name = "FILE", requires = "startup_taint")]
    kubeconfig: Option<PathBuf>,
}

/// The taint, and when to look for it.
#[derive(Debug)]
pub(super) struct Taint {
    startup: StartupTaint,
    began: Instant,
    due: Instant,
    /// The last thing that was told.
    told: String,
}

impl TaintArgs {
    /// What is to be done, if anything is.
    pub(super) fn taint(&self) -> Option<Taint> {
        let (key, node) = (self.startup_taint.clone()?, self.node_name.clone()?);
        let now = Instant::now();
        Some(Taint {
            startup: StartupTaint {
                key,
                node,
                kubeconfig: self.kubeconfig.clone(),
            },
            began: now,
            due: now,
            told: String::new(),
        })
    }
}

impl Taint {
    /// Takes it away where it is there, if it is time to look. Returns what there is to tell.
    pub(super) async fn look(&mut self) -> Option<String> {
        if Instant::now() < self.due {
            return None;
        }
        let key = &self.startup.key;
        let (text, pause) = match timeout(LOOK_TIMEOUT, self.startup.remove()).await {
            Ok(Ok(Tainted::NoLonger)) => (format!("done: took the taint {key} away"), LOOK_AGAIN),
            Ok(Ok(Tainted::Not)) => (format!("this node has no taint {key}"), LOOK_AGAIN),
            Ok(Ok(Tainted::Unknown)) => return None,
            Ok(Err(error)) => (format!("error: {}", ErrorChain(&error)), TRY_AGAIN),
            Err(_) => (
                format!("error: the taint {key} stays, since the cluster's API does not answer"),
                TRY_AGAIN,
            ),
        };
        let now = Instant::now();
        self.due = now + pause;
        if pause == LOOK_AGAIN && self.began.elapsed() > STARTS_FOR {
            self.due = now + Duration::from_hours(24 * 365);
        }
        let is_news = self.told != text;
        self.told.clone_from(&text);
        is_news.then_some(text)
    }
}
