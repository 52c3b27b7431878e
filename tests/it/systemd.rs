//! The service manager: what it is told, the sockets it hands over, and how little the shipped unit
//! may do.

use std::{
    net::TcpListener,
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use integration_tests::client::Client;
use integration_tests::proxy::{Archway, Setup, binary};
use integration_tests::wait::{DEADLINE, eventually, within};
use tempfile::TempDir;

/// The end of a service manager's socket, and the folder it is in.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("a new socket");
        socket.set_read_timeout(Some(DEADLINE)).expect("a time");
        Self { socket, folder }
    }

    fn setup(&self) -> Setup {
        Setup::new().env("NOTIFY_SOCKET", self.folder.path().join("notify").display())
    }

    /// The lines of the next message.
    fn told(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let read = self.socket.recv(&mut buffer).expect("a message in time");
        let text = std::str::from_utf8(&buffer[..read]).expect("text");
        text.lines().map(str::to_owned).collect()
    }
}

async fn answers(address: &str) {
    let answer = Client::new(&format!("http://{address}")).get("/v2/").await;
    assert_eq!(answer.status, 200, "{address}");
}

#[tokio::test]
async fn the_manager_is_told_of_the_start_and_of_the_end() {
    let manager = Manager::new();
    let mut archway: Archway = manager
        .setup()
        .table("[server]\nshutdown_grace = \"7s\"")
        .start()
        .await;
    let address = archway.address().to_string();
    let [ready, status] = &manager.told()[..] else {
        panic!("two lines are expected");
    };
    assert_eq!(ready, "READY=1");
    assert!(
        status.starts_with("STATUS=serving at ") && status.contains(&address),
        "{status}"
    );
    archway.terminate();
    assert_eq!(archway.ended().await.code(), Some(0));
    let ending = manager.told();
    assert_eq!(ending[0], "STOPPING=1");
    // The grace, and some time for the last flush.
    assert_eq!(ending[1], "EXTEND_TIMEOUT_USEC=17000000");
    assert!(ending[2].contains("7s"), "{ending:?}");
}

#[tokio::test]
async fn the_manager_is_told_of_a_reload_and_of_its_end() {
    let manager = Manager::new();
    let archway: Archway = manager.setup().start().await;
    assert_eq!(manager.told()[0], "READY=1");
    archway.hang_up();
    let reloading = manager.told();
    assert_eq!(reloading[0], "RELOADING=1");
    // Without the time systemd would take an earlier READY for the end of this reload.
    let time = reloading[1].strip_prefix("MONOTONIC_USEC=");
    assert!(
        time.is_some_and(|time| time.parse::<u64>().is_ok()),
        "{reloading:?}"
    );
    // For people, and before the end: who waits for that finds what came of it.
    let status = manager.told();
    assert!(
        status.len() == 1
            && status[0].starts_with("STATUS=serving; the configuration was read again at "),
        "{status:?}"
    );
    assert_eq!(manager.told(), ["READY=1"]);
}

#[tokio::test]
async fn a_watchdog_gets_its_signs_of_life() {
    let manager = Manager::new();
    let _archway = manager
        .setup()
        .env("WATCHDOG_USEC", Duration::from_millis(300).as_micros())
        .start()
        .await;
    let mut signs = 0;
    while signs < 5 {
        signs += usize::from(manager.told() == ["WATCHDOG=1"]);
    }
}

/// Archway with sockets that somebody else opened.
struct Activated {
    child: Child,
    folder: TempDir,
}

impl Drop for Activated {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Activated {
    /// With listeners at these addresses, the admin listener being the first. It has `first` and
    /// `second` as the descriptors 3 and 4, in its own process as the protocol wants it.
    fn start(addresses: &[String], first: TcpListener, second: TcpListener) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path(), addresses);
        let script = "exec 3<&0 4<&1 </dev/null >/dev/null; \
             LISTEN_FDS=2 LISTEN_FDNAMES=any:thing LISTEN_PID=$$ exec \"$0\" serve --config \"$1\"";
        let child = Command::new("/bin/sh")
            .args(["-c", script])
            .args([binary(), config])
            .env("HOME", folder.path())
            .stdin(Stdio::from(OwnedFd::from(first)))
            .stdout(Stdio::from(OwnedFd::from(second)))
            .stderr(std::fs::File::create(folder.path().join("log")).expect("a new file"))
            .spawn()
            .expect("a shell");
        Self { child, folder }
    }

    async fn ended(&mut self) -> (ExitStatus, String) {
        let status = eventually("Archway ends", async || {
            self.child.try_wait().expect("a child of ours")
        })
        .await;
        let log = std::fs::read_to_string(self.folder.path().join("log")).expect("text");
        (status, log)
    }
}

fn config(folder: &Path, addresses: &[String]) -> PathBuf {
    let listeners = addresses[1..]
        .iter()
        .map(|address| format!("[[listener]]\naddress = \"{address}\"\n"));
    let text = format!(
        "[cache]\npath = \"{}\"\n[admin]\naddress = \"{}\"\n{}",
        folder.join("cache").display(),
        addresses[0],
        listeners.collect::<String>()
    );
    let path = folder.join("config.toml");
    std::fs::write(&path, text).expect("a writable folder");
    path
}

fn bound(address: &str) -> (TcpListener, String) {
    let socket = TcpListener::bind(address).expect("a free port");
    let address = socket.local_addr().expect("it is bound").to_string();
    (socket, address)
}

#[tokio::test]
async fn a_socket_handed_over_takes_the_place_of_the_listener_with_its_address() {
    let (admin, admin_address) = bound("127.0.0.1:0");
    let (registry, address) = bound("127.0.0.1:0");
    let addresses = [admin_address.clone(), address.clone()];
    // In the other order than the config.
    let _activated = Activated::start(&addresses, registry, admin);
    // Before Archway has read its config.
    within("an early client is answered", answers(&address)).await;
    answers(&address).await;
    let ready = Client::new(&format!("http://{admin_address}"))
        .get("/readyz")
        .await;
    assert_eq!(ready.status, 200);
}

#[tokio::test]
async fn a_socket_for_a_bare_port_serves_a_listener_on_all_addresses() {
    let (admin, admin_address) = bound("127.0.0.1:0");
    let (registry, address) = bound("[::]:0");
    let port = address.rsplit_once(':').unwrap().1;
    let addresses = [admin_address, format!("0.0.0.0:{port}")];
    let _activated = Activated::start(&addresses, admin, registry);
    let of_this_family = format!("127.0.0.1:{port}");
    answers(&of_this_family).await;
}

#[tokio::test]
async fn a_socket_that_no_listener_has_is_an_error_that_names_its_address() {
    let (admin, admin_address) = bound("127.0.0.1:0");
    let (other, other_address) = bound("127.0.0.1:0");
    let addresses = [admin_address, "127.0.0.1:0".to_owned()];
    let (status, log) = Activated::start(&addresses, admin, other).ended().await;
    assert_eq!(status.code(), Some(1), "{log}");
    let expected = format!("a socket for {other_address} was handed over, where no listener is");
    assert!(log.contains(&expected), "{log}");
}

#[tokio::test]
async fn a_socket_that_takes_no_connections_is_an_error() {
    let (admin, admin_address) = bound("127.0.0.1:0");
    let (listener, address) = bound("127.0.0.1:0");
    let connected = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let connected = TcpListener::from(OwnedFd::from(connected));
    let addresses = [admin_address, address];
    let (status, log) = Activated::start(&addresses, admin, connected).ended().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("number 2 takes no TCP connections"), "{log}");
}

#[tokio::test]
async fn systemds_own_tool_hands_a_socket_over() {
    // Addresses of this test alone: the tool cannot say which port it was given.
    let (address, admin) = ("127.83.7.1:5000", "127.83.7.1:9464");
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path(), &[admin.to_owned(), address.to_owned()]);
    let child = Command::new("systemd-socket-activate")
        .args(["--listen", address, "--fdname", "whatever"])
        .arg(binary())
        .args(["serve", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("systemd-socket-activate: install the package systemd");
    let _activated = Activated { child, folder };
    eventually("a client is answered", async || {
        let answer = Client::new(&format!("http://{address}"))
            .try_open(http::Method::GET, "/v2/")
            .await;
        answer
            .is_ok_and(|answer| answer.status() == 200)
            .then_some(())
    })
    .await;
}

#[test]
fn the_units_exposure_is_at_most_one_and_a_half() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd/archway.service");
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold=15"])
        .arg(unit)
        .output()
        .expect("systemd-analyze: install the package systemd");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("Overall exposure level"), "{text}");
}
