//! Offline, nobody is dialled: in a network of its own without any route, with an AWS identity to be
//! looked for and every upstream that is built in, the kernel is never asked to connect, to send to an
//! address, or for a socket that names are looked up with.

use std::fmt::Write as _;
use std::process::{Command, Output};
use std::time::Duration;

use integration_tests::images::{self, Content};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::{eventually, within};
use tempfile::TempDir;

/// A private ECR registry: its identity comes from the environment, files, the network.
const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
const REPOSITORY: &str = "team/app";
const HERE: &str = "linux/amd64";
const LEFT_OUT: &str = "linux/arm64/v8";

/// How often each question is asked.
const ROUNDS: usize = 30;

/// How long it is left alone: long enough for what is refreshed, probed or renewed now and then. `make
/// soak` takes minutes.
fn idle() -> Duration {
    let seconds = std::env::var("ARCHWAY_IDLE_SECONDS").ok();
    let seconds = seconds.map_or(10, |text| text.parse().expect("a number of seconds"));
    Duration::from_secs(seconds)
}

/// A cache with an image of the ECR registry for one platform, filled from a registry that is gone, and
/// a config that would ask everybody.
async fn site() -> (Archway, Content) {
    let content = images::multi_platform("app");
    let registry = FakeRegistry::with(REPOSITORY, "v1", &content).await;
    let archway = Setup::new()
        .env("AWS_EC2_METADATA_DISABLED", "false")
        .top(&format!("default_upstream = \"{ECR}\""))
        .upstream_with(ECR, &registry, "auth = \"anonymous\"")
        .table("[upstream.\"docker.io\"]")
        .table("[upstream.\"public.ecr.aws\"]\nauth = \"ecr-public\"")
        .prefetch("refresh = \"1s\"")
        .start()
        .await;
    let client = archway.client();
    client.manifest(REPOSITORY, "v1").await.expect(200);
    let image = client
        .manifest(REPOSITORY, content.child(HERE).digest)
        .await;
    for digest in blobs(&image.expect(200).json()) {
        client.blob(REPOSITORY, &digest).await.expect(200);
        archway.stores(&digest.parse().expect("a digest")).await;
    }
    let endpoints = format!("endpoints = {:?}\n", [registry.url()]);
    registry.close().await;
    let archway = archway.restart_with(&endpoints, "").await;
    let archway = archway
        .restart_with("auth = \"anonymous\"", "auth = \"ecr\"\npushed_at = true")
        .await;
    // For the next start: others that would be greeted, and a bucket that would be read.
    let secret = archway.cache_folder().with_file_name("replicas-secret");
    std::fs::write(&secret, "of all of them").expect("a writable folder");
    archway.extend_config(&format!(
        "[replicas]\ndiscover = \"static\"\nmembers = [\"127.0.0.1:9\", \"127.0.0.2:9\"]\n\
         listen = \"127.0.0.1:0\"\nsecret_file = \"{}\"\n\
         [tier]\nurl = \"s3://cache\"\nendpoint = \"http://127.0.0.1:9\"",
        secret.display()
    ));
    (archway, content)
}

fn blobs(image: &serde_json::Value) -> Vec<String> {
    let layers = image["layers"].as_array().expect("layers").iter();
    let all = layers.chain([&image["config"]]);
    let digests = all.map(|blob| blob["digest"].as_str().expect("a digest").to_owned());
    digests.collect()
}

/// The server in a network of its own, which has loopback and no route, with every call of its that
/// is about the network written down.
struct Traced {
    archway: Archway,
    folder: TempDir,
}

impl Traced {
    async fn start(archway: Archway) -> Self {
        let folder = TempDir::new().expect("a folder");
        let trace = folder.path().join("trace");
        let script = format!(
            "ip link set lo up && exec strace -D -f -qq -e trace=network -o {} \"$@\"",
            trace.display()
        );
        let words = [
            "unshare",
            "--user",
            "--map-root-user",
            "--net",
            "sh",
            "-c",
            &script,
            "sh",
        ];
        let archway = archway.restart_by(&words).await;
        Self { archway, folder }
    }

    /// Asks for all of these from within, over one connection; the statuses.
    async fn ask(&self, paths: &[String], more: &str) -> Vec<u16> {
        let mut config =
            format!("silent\nmax-time = 20\nwrite-out = \"%{{http_code}}\\n\"\n{more}");
        for path in paths {
            let url = format!("http://{}{path}", self.archway.address());
            let _ = writeln!(config, "url = \"{url}\"\noutput = \"/dev/null\"");
        }
        let file = self.folder.path().join("requests");
        std::fs::write(&file, config).expect("a writable folder");
        let file = file.to_str().expect("a plain path");
        let output = self.inside(&["curl", "--config", file]).await;
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines()
            .map(|line| line.parse().expect("a status"))
            .collect()
    }

    async fn inside(&self, words: &[&str]) -> Output {
        let pid = self.archway.pid().to_string();
        let mut command = Command::new("nsenter");
        command.args([
            "--user",
            "--preserve-credentials",
            "--net",
            "--target",
            &pid,
        ]);
        command.args(words);
        let running = tokio::task::spawn_blocking(move || command.output());
        let output = within("the requests are answered", running).await;
        output
            .expect("no panic in it")
            .expect("util-linux and curl are installed")
    }

    /// Stops it; what it did that reaches beyond its machine.
    async fn dialled(mut self) -> Vec<String> {
        let pid = self.archway.pid().to_string();
        self.archway.terminate();
        self.archway.ended().await;
        let file = self.folder.path().join("trace");
        let trace = eventually("the trace ends", async || {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            // Its threads are gone once no call is left open.
            let is_over = std::fs::metadata(format!("/proc/{pid}")).is_err();
            (is_over && text.ends_with('\n')).then_some(text)
        })
        .await;
        let listens = trace
            .lines()
            .filter(|line| line.contains(" listen("))
            .count();
        // For clients, for administration, and the Unix socket for changes.
        assert_eq!(listens, 3, "the trace is of the server: {trace}");
        let lines = trace.lines().filter(|line| leaves(line));
        lines.map(str::to_owned).collect()
    }
}

/// Whether a call reaches beyond this process's listeners and the Unix sockets of the machine: a
/// connection, a datagram to an address, a socket of the resolver or of the kernel's routes.
fn leaves(line: &str) -> bool {
    let is_call = |name: &str| line.contains(&format!(" {name}("));
    let is_inet = line.contains("AF_INET") || line.contains("AF_NETLINK");
    let has_address = ["connect", "sendto", "sendmsg", "sendmmsg"]
        .into_iter()
        .any(is_call);
    let looks_up =
        is_call("socket") && (line.contains("SOCK_DGRAM") || line.contains("AF_NETLINK"));
    (has_address || looks_up) && is_inet
}

/// Hits, misses, lists and referrers, in every form.
fn questions(content: &Content) -> Vec<String> {
    let (index, image) = (content.root().digest, content.child(HERE));
    let body = serde_json::from_slice(&image.bytes).expect("JSON");
    let nowhere = format!("sha256:{}", "0a".repeat(32));
    let mut paths = vec![
        format!("manifests/v1"),
        format!("manifests/v9"),
        format!("manifests/{index}"),
        format!("manifests/{}", image.digest),
        format!("manifests/{}", content.child(LEFT_OUT).digest),
        format!("manifests/{nowhere}"),
        format!("manifests/sha256-{}.sig", index.hex()),
        format!("blobs/{nowhere}"),
        "tags/list".to_owned(),
        "tags/list?n=1&last=a".to_owned(),
        format!("referrers/{index}"),
        format!("referrers/{index}?artifactType=application/x"),
    ];
    paths.extend(blobs(&body).iter().map(|digest| format!("blobs/{digest}")));
    let mut paths: Vec<_> = paths
        .iter()
        .map(|path| format!("/v2/{REPOSITORY}/{path}"))
        .collect();
    for host in [
        "docker.io",
        "public.ecr.aws",
        "999999999999.dkr.ecr.cn-north-1.amazonaws.com.cn",
    ] {
        paths.push(format!("/v2/library/nginx/manifests/latest?ns={host}"));
        paths.push(format!("/v2/library/nginx/tags/list?ns={host}"));
    }
    paths
}

#[tokio::test]
async fn offline_nobody_is_dialled_whatever_is_asked_and_while_nothing_is() {
    let (archway, content) = site().await;
    let offline = archway.restart_with("default_upstream", "offline = true\ndefault_upstream");
    let traced = Traced::start(offline.await).await;
    let mut paths = Vec::new();
    for _ in 0..ROUNDS {
        paths.extend(questions(&content));
    }
    assert!(paths.len() > 500, "{}", paths.len());
    let statuses = traced.ask(&paths, "").await;
    assert_eq!(statuses.len(), paths.len());
    for (path, status) in paths.iter().zip(&statuses) {
        assert!([200, 404].contains(status), "{status} for {path}");
    }
    let hits = statuses.iter().filter(|status| **status == 200).count();
    assert!(
        hits > paths.len() / 3 && hits < paths.len(),
        "{hits} of {}",
        paths.len()
    );
    traced.ask(&paths[..20], "head\n").await;
    let admin = traced.archway.admin_url();
    let images = format!("{admin}/_archway/v1/images");
    let listed = traced
        .inside(&["curl", "--silent", "--fail", &images])
        .await;
    assert!(listed.status.success());
    tokio::time::sleep(idle()).await;
    let dialled = traced.dialled().await;
    assert!(dialled.is_empty(), "{dialled:#?}");
}

#[tokio::test]
async fn the_same_site_online_dials_at_its_first_question() {
    let (archway, _) = site().await;
    let traced = Traced::start(archway).await;
    traced
        .ask(&[format!("/v2/{REPOSITORY}/manifests/v9")], "")
        .await;
    let dialled = traced.dialled().await;
    assert!(
        !dialled.is_empty(),
        "so the trace of the other test would show it"
    );
}
