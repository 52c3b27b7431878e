//! Where a run happens: the core of the servers, the cores of everybody else, the clock.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

use integration_tests::proxy::{Archway, Setup, binary};
use integration_tests::usage::Memory;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::sync::Mutex;

/// What every attack gets.
pub(crate) struct Place {
    server_core: usize,
    started: Instant,
    /// Held by whoever measures: at most one attack is at work, others may only wait.
    pub(crate) quiet: Mutex<()>,
    /// What the first Archway held before it had done anything.
    fresh: OnceLock<Memory>,
}

impl Place {
    /// Takes the first core for the servers and puts this thread on the others.
    pub(crate) fn new() -> Self {
        let mut cores = sched_getaffinity(None).expect("a machine has cores");
        assert!(
            cores.count() >= 2,
            "one core is the server's alone: two are needed"
        );
        let server_core = (0..CpuSet::MAX_CPU).find(|core| cores.is_set(*core));
        let server_core = server_core.expect("a machine has cores");
        cores.unset(server_core);
        sched_setaffinity(None, &cores).expect("cores of this process");
        Self {
            server_core,
            started: Instant::now(),
            quiet: Mutex::new(()),
            fresh: OnceLock::new(),
        }
    }

    /// What puts a program on the servers' core and becomes it.
    pub(crate) fn on_server_core(&self) -> [String; 3] {
        ["taskset", "-c", &self.server_core.to_string()].map(str::to_owned)
    }

    /// Starts Archway on its core.
    pub(crate) async fn start(&self, setup: Setup) -> Archway {
        let archway = setup.run_by(&self.on_server_core()).start().await;
        self.fresh.get_or_init(|| Memory::of(archway.pid()));
        archway
    }

    /// Tells whoever waits how far it is.
    pub(crate) fn say(&self, what: &str) {
        eprintln!("[{:4}s] {what}", self.started.elapsed().as_secs());
    }

    /// What the figures were taken on, and what they begin with.
    pub(crate) fn facts(&self) -> String {
        let fresh = self.fresh.get().copied().unwrap_or_default();
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        format!(
            "{} A fresh start held {:.1} MB, of which {:.1} MB are pages of files.",
            machine(),
            megabytes(fresh.resident),
            megabytes(fresh.resident - fresh.anonymous)
        )
    }
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |line| line.trim_matches([':', ' ', '\t']));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version = said(&binary().to_string_lossy(), "--version").unwrap_or_default();
    // Not every attack has it beside Archway.
    let nginx = said("nginx", "-v").map_or_else(String::new, |version| format!(" {version}."));
    format!(
        "{version}, on one core of {model}, Linux {}. Clients and upstreams are on the other cores.{nginx}",
        kernel.trim(),
    )
}

/// The first line a program says about itself, on either stream; `None` if it is not here.
fn said(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().next().map(str::to_owned)
}
