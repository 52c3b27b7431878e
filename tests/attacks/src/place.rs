//! Where a run happens: the core of the servers, the cores of everybody else, the clock.

use std::fs;
use std::process::Command;
use std::time::Instant;

use integration_tests::proxy::{Archway, Setup, binary};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::sync::Mutex;

/// What every attack gets.
pub(crate) struct Place {
    server_core: usize,
    started: Instant,
    /// Held by whoever measures: at most one attack is at work, others may only wait.
    pub(crate) quiet: Mutex<()>,
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
        }
    }

    /// What puts a program on the servers' core and becomes it.
    pub(crate) fn on_server_core(&self) -> [String; 3] {
        ["taskset", "-c", &self.server_core.to_string()].map(str::to_owned)
    }

    /// Starts Archway on its core.
    pub(crate) async fn start(&self, setup: Setup) -> Archway {
        setup.run_by(&self.on_server_core()).start().await
    }

    /// Tells whoever waits how far it is.
    pub(crate) fn say(&self, what: &str) {
        eprintln!("[{:4}s] {what}", self.started.elapsed().as_secs());
    }
}

/// What the figures were taken on.
pub(crate) fn facts() -> String {
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
