//! The registry of go-containerregistry as the upstream. It answers 416 to a range without an end
//! and to one that ends beyond the blob, so a download must not depend on ranges it invents.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};

use integration_tests::images::noise;
use integration_tests::proxy;
use manifest_model::Digest;
use tokio::runtime;

use crate::cell::{Cell, output};
use crate::layout;
use crate::tools;

/// Of the one layer: more than a download asks for at first, and not compressible.
const LAYER: usize = 30_000_000;

/// The name that the registry has for Archway.
const UPSTREAM: &str = "ggcr.test";

#[test]
fn the_first_pull_of_a_large_layer_from_cranes_registry_succeeds() {
    let cell = Cell::new();
    let registry = serve(&cell);
    push(&cell, registry);
    let setup = proxy::Setup::new()
        .top(&format!("default_upstream = \"{UPSTREAM}\""))
        .upstream_at(UPSTREAM, &[format!("http://{registry}")], "");
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let archway = runtime.block_on(setup.start());
    let straight = pull(&cell, registry, "straight");
    assert_eq!(straight.len(), 3, "manifest, config and layer");
    assert_eq!(pull(&cell, archway.address(), "through"), straight);
    assert_eq!(pull(&cell, archway.address(), "again"), straight);
}

fn serve(cell: &Cell) -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("bound");
    drop(free);
    let (crane, at) = (tools::built("crane"), address.to_string());
    let command = [
        crane.as_os_str(),
        "registry".as_ref(),
        "serve".as_ref(),
        "--address".as_ref(),
        at.as_ref(),
    ];
    cell.serve("registry", &command, &[], || {
        TcpStream::connect(address).is_ok()
    });
    address
}

fn push(cell: &Cell, registry: SocketAddr) {
    let file = cell.path("tmp/noise");
    let mut noisy = File::create(&file).expect("a new file");
    noisy.write_all(&noise("layer", LAYER)).expect("room");
    let tarball = cell.path("tmp/layer.tar");
    let mut tar = cell.command(tools::system("tar"));
    tar.arg("-cf").arg(&tarball).arg("-C").arg(cell.path("tmp"));
    output(tar.arg("noise"));
    let mut crane = cell.command(tools::built("crane"));
    crane
        .args(["append", "--oci-empty-base", "-f"])
        .arg(&tarball);
    output(crane.args(["-t", &format!("{registry}/team/app:v1")]));
    fs::remove_file(file).expect("our own file");
}

/// The digests of what a client gets from there.
fn pull(cell: &Cell, from: SocketAddr, name: &str) -> BTreeSet<Digest> {
    let target = cell.path(name);
    let mut crane = cell.command(tools::built("crane"));
    crane.args(["pull", "--format", "oci"]);
    output(crane.arg(format!("{from}/team/app:v1")).arg(&target));
    layout::blobs(&target)
}
