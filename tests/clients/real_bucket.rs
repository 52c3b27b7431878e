//! The tier on a real S3 server: versitygw, over a folder, where the test can look at the files.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use integration_tests::aws::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use integration_tests::images::{self, BigBlob, Blob};
use integration_tests::proxy::Setup;
use integration_tests::registry::FakeRegistry;
use integration_tests::wait::eventually;
use manifest_model::Digest;
use tempfile::TempDir;

use crate::tools;

/// A running server with one bucket.
struct Versity {
    child: Child,
    folder: TempDir,
    address: SocketAddr,
}

impl Versity {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("cache")).expect("a bucket");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("bound");
        drop(free);
        let child = Command::new(tools::built("versitygw"))
            .args(["--access", ACCESS_KEY_ID, "--secret", SECRET_ACCESS_KEY])
            .args(["--port", &address.to_string(), "posix"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it can be started");
        eventually("the S3 server listens", async || {
            TcpStream::connect(address).ok()
        })
        .await;
        Self {
            child,
            folder,
            address,
        }
    }

    fn table(&self) -> String {
        let address = self.address;
        format!("[tier]\nurl = \"s3://cache/archway\"\nendpoint = \"http://{address}\"")
    }

    /// The file of a blob.
    fn file(&self, digest: &Digest) -> std::path::PathBuf {
        let hex = digest.hex();
        let path = format!("cache/archway/blobs/sha256/{}/{hex}", &hex[..2]);
        self.folder.path().join(path)
    }
}

impl Drop for Versity {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn holds(server: &Versity, parts: &[Digest]) {
    for digest in parts {
        let what = format!("the bucket has {digest}");
        eventually(&what, async || {
            Path::is_file(&server.file(digest)).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_s3_server_keeps_what_an_empty_archway_needs_without_its_upstream() {
    let server = Versity::start().await;
    let blob = Blob::from(BigBlob::new("a large layer", 70 << 20));
    let registry = FakeRegistry::with("team/large", "v1", &images::of_blob(&blob)).await;
    registry.push("team/app", "v1", &images::multi_platform("app"));
    let setup = || {
        Setup::in_front_of(&registry)
            .table(&server.table())
            .aws_credentials()
    };
    let doctor = setup().run(&["doctor", "tier", "--config", "CONFIG"]).await;
    assert!(doctor.status.success(), "{doctor:?}");
    let first = setup().start().await;
    let large = first.client().pull("team/large", "v1").await;
    let app = first.client().pull("team/app", "v1").await;
    holds(&server, &large.parts).await;
    holds(&server, &app.parts).await;
    eventually("nothing waits to be written", async || {
        let waiting = first.metric("archway_tier_waiting_writes").await;
        (waiting == Some(0)).then_some(())
    })
    .await;
    drop(first);
    registry.close().await;
    let second = setup().start().await;
    assert_eq!(second.client().pull("team/large", "v1").await, large);
    assert_eq!(second.client().pull("team/app", "v1").await, app);
    let clean = setup().run(&["tier", "clean", "--config", "CONFIG"]).await;
    assert!(clean.status.success(), "{clean:?}");
}
