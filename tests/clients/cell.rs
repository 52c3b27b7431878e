//! A cell: mounts and processes of its own for one client and its daemons.
//!
//! Inside, `/run`, `/dev/shm`, `/var/lib` and `/var/tmp` are empty, `/etc/hosts` sends the
//! registries that clients know by heart to this machine (where nobody listens on 443, so a client
//! that leaves its mirror fails at once), and
//! `/etc/containers` and `HOME` are the cell's. The network is the machine's, or one of its own that has
//! loopback and no way out.
//!
//! When the test drops the cell or dies, however it dies, everything goes: processes (shims too),
//! mounts and the folder.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::tools;

/// How long a single client command may take, in seconds. A hanging client is a failed test.
const COMMAND_LIMIT: &str = "120";

/// How long anything that is waited for may take.
const WAIT_LIMIT: Duration = Duration::from_secs(30);

/// Names that must never lead out of this machine.
const HOSTS: &str = "127.0.0.1 localhost registry-1.docker.io auth.docker.io index.docker.io docker.io \
    123456789012.dkr.ecr.us-east-1.amazonaws.com\n";

/// Lives outside the cell: makes it, waits for it to end, and removes the folder. An interrupt from
/// the keyboard must not stop it: the cell ends with the test, whose end of the pipe it waits for.
const HOLDER: &str = r#"
trap '' INT TERM HUP
unshare --mount --propagation private --pid --fork --kill-child $3 sh -ec "$2" cell "$1" "$3"
rm -rf "$1"
"#;

/// The first process in the cell. It says its process id as the outside knows it, and only waits
/// for its standard input to end; with it the kernel ends all other processes in the cell, and
/// takes the mounts away.
const FIRST_PROCESS: &str = r#"
read -r self rest </proc/self/stat
mount -t proc proc /proc
for empty in /run /dev/shm /var/lib /var/tmp; do mount -t tmpfs tmpfs $empty; done
mount --bind "$1/etc/hosts" /etc/hosts
mount --bind "$1/etc/containers" /etc/containers
[ -z "$2" ] || ip link set lo up
echo "$self"
exec cat
"#;

/// See the module's head.
pub(crate) struct Cell {
    folder: PathBuf,
    holder: Child,
    inside: String,
}

impl Cell {
    pub(crate) fn new() -> Self {
        Self::of("")
    }

    /// One from which nothing outside of it can be reached.
    pub(crate) fn without_a_way_out() -> Self {
        Self::of("--net")
    }

    /// `own` is what more it has for itself, as an option of `unshare`.
    fn of(own: &str) -> Self {
        let folder = TempDir::with_prefix("archway-cell-")
            .expect("a folder in /tmp")
            .keep();
        for empty in ["etc/containers", "home", "docker", "tmp"] {
            fs::create_dir_all(folder.join(empty)).expect("a new folder");
        }
        let (holder, inside) = first_process(&folder, own);
        let cell = Self {
            folder,
            holder,
            inside,
        };
        cell.write("docker/config.json", "{}");
        cell.write(
            "etc/containers/policy.json",
            r#"{"default": [{"type": "insecureAcceptAnything"}]}"#,
        );
        cell
    }

    /// A path in the cell's folder, which is the same inside and outside.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.folder.join(relative)
    }

    /// Writes a file into the cell's folder, with the folders it lies in.
    pub(crate) fn write(&self, relative: &str, text: &str) -> PathBuf {
        let path = self.path(relative);
        write(&path, text);
        path
    }

    /// What a program is run by that is to be in the network of the cell, and nowhere else in it.
    pub(crate) fn network(&self) -> Vec<String> {
        let words = ["nsenter", "--net", "--target", &self.inside, "--"];
        words.map(str::to_owned).to_vec()
    }

    /// A client command to run in the cell: with a bare environment and within [`COMMAND_LIMIT`].
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.enter();
        command
            .args(["timeout", "--kill-after=5", COMMAND_LIMIT])
            .arg(program);
        command
    }

    /// Starts a daemon in the cell and waits until `ready`. What it prints goes to `NAME.log` in
    /// the folder.
    pub(crate) fn serve(
        &self,
        name: &str,
        command: &[&OsStr],
        settings: &[(&str, &OsStr)],
        mut ready: impl FnMut() -> bool,
    ) {
        let log = self.path(format!("{name}.log"));
        let file = fs::File::create(&log).expect("a new log file");
        let mut child = self
            .enter()
            .args(command)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .spawn()
            .expect("nsenter starts");
        eventually(&format!("{name} is up"), || {
            let ended = child.try_wait().expect("our own child");
            let printed = || fs::read_to_string(&log).unwrap_or_default();
            assert!(
                ended.is_none(),
                "{name} ended at its start ({ended:?}):\n{}",
                printed()
            );
            ready()
        });
    }

    fn enter(&self) -> Command {
        let mut command = Command::new(tools::system("nsenter"));
        command
            .args(["--target", &self.inside, "--mount", "--pid", "--net", "--"])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("DOCKER_CONFIG", self.path("docker"))
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let ended = self.holder.wait();
        if !thread::panicking() {
            let clean = ended.is_ok_and(|status| status.success()) && !self.folder.exists();
            assert!(clean, "{} was not taken down", self.folder.display());
        }
    }
}

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT_LIMIT;
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "waited {WAIT_LIMIT:?} in vain: {what}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// A command that failed: which one it was, how it ended, and all it printed.
#[derive(PartialEq, Eq)]
pub(crate) struct Failed(pub(crate) String);

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Runs a command to its end and gives its standard output. Fails with all it printed.
pub(crate) fn output(command: &mut Command) -> String {
    attempt(command).unwrap_or_else(|failed| panic!("{failed:?}"))
}

/// The same where failing is an answer.
pub(crate) fn attempt(command: &mut Command) -> Result<String, Failed> {
    let done = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let stdout = String::from_utf8_lossy(&done.stdout).into_owned();
    if done.status.success() {
        return Ok(stdout);
    }
    Err(Failed(format!(
        "{command:?} failed with {}:\n{stdout}{}",
        done.status,
        String::from_utf8_lossy(&done.stderr)
    )))
}

/// Writes a file, with the folders it lies in.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a new folder");
    fs::write(path, bytes).expect("a new file");
}

fn first_process(folder: &Path, own: &str) -> (Child, String) {
    write(&folder.join("etc/hosts"), HOSTS);
    let mut holder = Command::new(tools::system("sh"))
        .args([
            OsStr::new("-c"),
            OsStr::new(HOLDER),
            OsStr::new("holder"),
            folder.as_os_str(),
            OsStr::new(FIRST_PROCESS),
            OsStr::new(own),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh starts");
    let inside = first_line(holder.stdout.take().expect("asked for"));
    assert!(
        !inside.is_empty(),
        "a cell could not be made: the tests with real clients run as root"
    );
    (holder, inside)
}

fn first_line(stdout: ChildStdout) -> String {
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).expect("text");
    line.trim().to_owned()
}
