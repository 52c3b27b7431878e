//! Archway as a process: the real binary, with a config file of its own in a folder of its own, on
//! free ports, with nothing inherited from the environment.
//!
//! The binary is the one built beside the tests (`<target>/<profile>/archway`), or `ARCHWAY_BIN`.
//! An [`Archway`] that is dropped is killed; when its test failed, the end of its log is printed.

mod log;
mod setup;

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;

use manifest_model::Digest;
use tempfile::TempDir;

use crate::client::{Client, Pulled};
use crate::wait::{eventually, within};

pub use log::Log;
pub use setup::{Setup, UPSTREAM};

/// How much of the log a failed test shows.
const TAIL: usize = 60;

/// A running Archway.
pub struct Archway {
    child: Child,
    place: Place,
    log: Log,
    listeners: Vec<Listener>,
}

/// Where it lives, and with which environment; it stays over a restart.
#[derive(Clone)]
pub(crate) struct Place {
    folder: Arc<TempDir>,
    environment: Vec<(String, String)>,
    /// How many listeners its config has, the admin one included.
    listeners: usize,
    /// What the shell's `ulimit` is told before the binary takes its place.
    limit: Option<&'static str>,
    /// What `archway serve` is told beside its config.
    arguments: Vec<String>,
    /// What the server is run by: a program and its arguments, which the server's follow. It becomes
    /// the server.
    run_by: Vec<String>,
}

struct Listener {
    kind: String,
    address: SocketAddr,
}

impl Place {
    pub(crate) fn new(environment: Vec<(String, String)>, listeners: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self {
            folder: Arc::new(folder),
            environment,
            listeners,
            limit: None,
            arguments: Vec::new(),
            run_by: Vec::new(),
        }
    }

    pub(crate) fn with_limit(mut self, limit: Option<&'static str>) -> Self {
        self.limit = limit;
        self
    }

    pub(crate) fn with_arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(|&word| word.to_owned()).collect();
        self
    }

    pub(crate) fn run_by(mut self, program: Vec<String>) -> Self {
        self.run_by = program;
        self
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("archway.toml")
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let command = match self.limit {
            None => Command::new(binary()),
            Some(limit) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\"")]);
                shell.arg(binary());
                shell
            }
        };
        self.equipped(command, arguments)
    }

    /// The command that runs the binary by `run_by`.
    fn server(&self, arguments: &[&str]) -> Command {
        let Some((program, words)) = self.run_by.split_first() else {
            return self.command(arguments);
        };
        let mut command = Command::new(program);
        command.args(words).arg(binary());
        self.equipped(command, arguments)
    }

    fn equipped(&self, mut command: Command, arguments: &[&str]) -> Command {
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(self.environment.iter().cloned())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        let running = tokio::task::spawn_blocking(move || command.output());
        let output = within("the command ends", running).await;
        let output = output.expect("no panic in it");
        output.unwrap_or_else(|error| panic!("{}: {error}", binary().display()))
    }

    /// Starts it and waits until every listener accepts.
    pub(crate) async fn start(self) -> Archway {
        let config = self.config();
        let config = config.to_str().expect("a plain path");
        let more = self.arguments.iter().map(String::as_str);
        let words: Vec<&str> = ["serve", "--config", config]
            .into_iter()
            .chain(more)
            .collect();
        let mut child = self
            .server(&words)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary().display()));
        let log = Log::follow(child.stderr.take().expect("its stderr is piped"));
        let listeners = eventually("Archway listens", async || {
            if let Some(status) = child.try_wait().expect("a child of ours") {
                panic!("Archway ended at its start: {status}\n{}", log.tail(TAIL));
            }
            let found = log.listening();
            (found.len() >= self.listeners).then_some(found)
        })
        .await;
        let listeners = listeners
            .into_iter()
            .map(|(kind, address)| Listener { kind, address });
        Archway {
            listeners: listeners.collect(),
            place: self,
            child,
            log,
        }
    }
}

/// The binary under test.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("ARCHWAY_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().expect("a test knows its own path");
    let folder = own.parent().and_then(Path::parent);
    let path = folder
        .expect("tests lie in <target>/<profile>/deps")
        .join("archway");
    assert!(
        path.exists(),
        "{} is missing: run `cargo build -p archway` first, or set ARCHWAY_BIN",
        path.display()
    );
    path
}

/// Runs the binary with `arguments` to its end, in an empty folder.
pub async fn run(arguments: &[&str]) -> Output {
    Place::new(Vec::new(), 0).run(arguments).await
}

impl Archway {
    /// `http://127.0.0.1:PORT` of the registry listener there.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The same with `https://`, for a listener that has a certificate.
    pub fn https_url(&self) -> String {
        format!("https://{}", self.address())
    }

    /// The address of the registry listener on 127.0.0.1.
    pub fn address(&self) -> SocketAddr {
        self.listener("registry", IpAddr::from([127, 0, 0, 1]))
    }

    /// The URL of the registry listener on this loopback address.
    pub fn url_at(&self, ip: &str) -> String {
        format!("http://{}", self.address_at(ip))
    }

    /// The address of the registry listener on this loopback address.
    pub fn address_at(&self, ip: &str) -> SocketAddr {
        let ip = ip.parse().expect("an IP address");
        self.listener("registry", ip)
    }

    /// The URL of the admin listener.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin_address())
    }

    /// The address of the admin listener.
    pub fn admin_address(&self) -> SocketAddr {
        self.listener("admin", IpAddr::from([127, 0, 0, 1]))
    }

    fn listener(&self, kind: &str, ip: IpAddr) -> SocketAddr {
        let mut all = self.listeners.iter();
        let found = all.find(|listener| listener.kind == kind && listener.address.ip() == ip);
        found
            .unwrap_or_else(|| panic!("no {kind} listener at {ip}"))
            .address
    }

    /// A client with connections of its own to the first registry listener.
    pub fn client(&self) -> Client {
        Client::new(&self.url())
    }

    /// A client of the admin listener.
    pub fn admin(&self) -> Client {
        Client::new(&self.admin_url())
    }

    /// The value of a metric, by its name with its labels; `None` while it is not there.
    pub async fn metric(&self, name: &str) -> Option<u64> {
        let text = self.admin().get("/metrics").await.expect(200).text();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        Some(value.parse().expect("a whole number"))
    }

    /// What it has logged so far.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Its cache folder.
    pub fn cache_folder(&self) -> PathBuf {
        self.place.cache()
    }

    /// All files below a folder of the cache, with their sizes.
    pub fn files(&self, below: &str) -> Vec<(PathBuf, u64)> {
        let mut found = Vec::new();
        let mut folders = vec![self.cache_folder().join(below)];
        while let Some(folder) = folders.pop() {
            // A folder may vanish while it is read: then it has no files.
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                match entry.metadata() {
                    Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                    Ok(metadata) => found.push((entry.path(), metadata.len())),
                    Err(_) => {}
                }
            }
        }
        found
    }

    /// Whether the content of this digest lies in the cache, whole.
    pub fn has_stored(&self, digest: &Digest) -> bool {
        let hex = digest.hex();
        let mut files = self.files("blobs").into_iter();
        files.any(|(path, _)| path.to_string_lossy().ends_with(&hex))
    }

    /// Waits until the content of this digest lies in the cache.
    pub async fn stores(&self, digest: &Digest) {
        let what = format!("{digest} is stored");
        eventually(&what, async || self.has_stored(digest).then_some(())).await;
    }

    /// Has the kernel let go of the content of this digest, so that the next to read it has to wait
    /// for the disk. Nothing happens on a file system without one (tmpfs).
    pub fn evict_from_memory(&self, digest: &Digest) {
        let hex = digest.hex();
        for (path, _) in self.files("blobs") {
            if path.to_string_lossy().ends_with(&hex) {
                let file = std::fs::File::open(&path).expect("a stored blob");
                let advice = rustix::fs::Advice::DontNeed;
                rustix::fs::fadvise(&file, 0, None, advice).expect("a file takes advice");
            }
        }
    }

    /// Waits until everything that came with a pull lies in the cache.
    pub async fn stores_all(&self, pulled: &Pulled) {
        for part in &pulled.parts {
            self.stores(part).await;
        }
    }

    /// Sends SIGTERM and does not wait.
    pub fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.expect("a shell").success(), "{kill}");
    }

    /// Sends SIGHUP and does not wait.
    pub fn hang_up(&self) {
        let kill = format!("kill -HUP {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.expect("a shell").success(), "{kill}");
    }

    /// Replaces `from` in its config by `to`, and leaves it running.
    pub fn edit_config(&self, from: &str, to: &str) {
        let path = self.place.config();
        let text = std::fs::read_to_string(&path).expect("its config");
        assert!(text.contains(from), "{from} is not in\n{text}");
        std::fs::write(&path, text.replace(from, to)).expect("a writable folder");
    }

    /// Appends a table to its config, and leaves it running.
    pub fn extend_config(&self, table: &str) {
        let path = self.place.config();
        let text = std::fs::read_to_string(&path).expect("its config");
        std::fs::write(&path, format!("{text}\n{table}\n")).expect("a writable folder");
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("Archway ends", async || {
            child.try_wait().expect("a child of ours")
        })
        .await
    }

    /// Whether it runs still.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_none()
    }

    /// `kill -9`, and waits for its end.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }

    /// Starts it again in the same folder; kills it first where it still runs.
    pub async fn restart(mut self) -> Self {
        self.kill();
        let place = self.place.clone();
        drop(self);
        place.start().await
    }

    /// Runs a command of the binary on its config, whether or not it runs itself.
    pub async fn command(&self, arguments: &[&str]) -> Output {
        let config = self.place.config();
        let config = config.to_str().expect("a plain path");
        let words = [arguments, &["--config", config]].concat();
        self.place.run(&words).await
    }

    /// Runs `archway cache ...` on its config, whether or not it runs itself.
    pub async fn cache_command(&self, arguments: &[&str]) -> Output {
        let config = self.place.config();
        let config = config.to_str().expect("a plain path");
        let words = [&["cache"], arguments, &["--config", config]].concat();
        self.place.run(&words).await
    }

    /// Runs `archway bundle ...` on its config, whether or not it runs itself.
    pub async fn bundle_command(&self, arguments: &[&str]) -> Output {
        let config = self.place.config();
        let config = config.to_str().expect("a plain path");
        let words = [&["bundle"], arguments, &["--config", config]].concat();
        self.place.run(&words).await
    }

    /// The same, run by a program with these words before the binary's path.
    pub async fn bundle_command_by(&self, program: &[&str], arguments: &[&str]) -> Output {
        let words = [&["bundle"], arguments].concat();
        self.command_by(program, &words).await
    }

    /// A command of the binary on its config, run by a program with these words before its path.
    pub async fn command_by(&self, program: &[&str], arguments: &[&str]) -> Output {
        let config = self.place.config();
        let config = config.to_str().expect("a plain path");
        let words = [arguments, &["--config", config]].concat();
        let mut place = self.place.clone();
        place.run_by = program.iter().map(|&word| word.to_owned()).collect();
        let mut command = place.server(&words);
        let running = tokio::task::spawn_blocking(move || command.output());
        let output = within("the command ends", running).await;
        output.expect("no panic in it").expect("it starts")
    }

    /// Runs the binary with `arguments` to its end, with this file as its standard input.
    pub async fn piped(&self, arguments: &[&str], input: &Path) -> Output {
        let mut command = self.place.command(arguments);
        command.stdin(std::fs::File::open(input).expect("a file to read"));
        let running = tokio::task::spawn_blocking(move || command.output());
        let output = within("the command ends", running).await;
        output.expect("no panic in it").expect("it starts")
    }

    /// Stops it, and starts it again in the same folder at the same address of its first registry
    /// listener, with these lines before its config.
    pub async fn restart_here(&mut self, lines: &str) {
        let address = format!("address = \"{}\"", self.address());
        self.terminate();
        self.ended().await;
        let path = self.place.config();
        let text = std::fs::read_to_string(&path).expect("its config");
        let text = text.replacen("address = \"127.0.0.1:0\"", &address, 1);
        std::fs::write(&path, format!("{lines}\n{text}")).expect("a writable folder");
        *self = self.place.clone().start().await;
    }

    /// Starts it again in the same folder, run by this program with these arguments, which has to
    /// become the server.
    pub async fn restart_by(mut self, program: &[&str]) -> Self {
        self.kill();
        let mut place = self.place.clone();
        place.run_by = program.iter().map(|&word| word.to_owned()).collect();
        drop(self);
        place.start().await
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Starts it again in the same folder, with `from` in its config replaced by `to`.
    pub async fn restart_with(self, from: &str, to: &str) -> Self {
        let path = self.place.config();
        let text = std::fs::read_to_string(&path).expect("its config");
        assert!(text.contains(from), "{from} is not in\n{text}");
        std::fs::write(&path, text.replace(from, to)).expect("a writable folder");
        self.restart().await
    }

    /// Runs a second process on the same config, cache folder included, to its end.
    pub async fn run_another(&self) -> Output {
        let config = self.place.config();
        let config = config.to_str().expect("a plain path");
        self.place.run(&["serve", "--config", config]).await
    }
}

impl Drop for Archway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let mut stderr = std::io::stderr();
            let _ = writeln!(
                stderr,
                "--- Archway's log ends with\n{}",
                self.log.tail(TAIL)
            );
        }
    }
}
