//! Clients that know Archway's authority pull from a listener with a certificate: crane by HTTP/2,
//! skopeo by HTTP/1.1.

use std::path::Path;

use integration_tests::tls::{Authority, Mounted};

use crate::cell::output;
use crate::images::Kind;
use crate::layout;
use crate::matrix::{By, Route, Want, wants};
use crate::setup::Setup;
use crate::tools;

#[test]
fn crane_pulls_whole_images_over_tls_unchanged_and_again_with_ecr_stopped() {
    pulls_over_tls(|setup, want, target| {
        let mut crane = setup.cell.command(tools::built("crane"));
        crane
            .env("SSL_CERT_FILE", setup.cell.path("trusted/ca.crt"))
            .args(["pull", "--format", "oci"])
            .arg(want.reference(&setup.by_path(Route::Archway)))
            .arg(target);
        output(&mut crane);
        layout::blobs(target) == want.image.digests()
    });
}

#[test]
fn skopeo_copies_whole_images_over_tls_unchanged_and_again_with_ecr_stopped() {
    pulls_over_tls(|setup, want, target| {
        let source = want.reference(&setup.by_path(Route::Archway));
        let (folder, read): (_, fn(&Path) -> _) = match want.image.kind {
            Kind::Oci => (format!("oci:{}:copy", target.display()), layout::blobs),
            Kind::Docker => (format!("dir:{}", target.display()), layout::dir_blobs),
        };
        let mut skopeo = setup.cell.command(tools::system("skopeo"));
        skopeo
            .args([
                "--insecure-policy",
                "copy",
                "--quiet",
                "--all",
                "--preserve-digests",
            ])
            .arg("--src-cert-dir")
            .arg(setup.cell.path("trusted"))
            .args([format!("docker://{source}"), folder]);
        output(&mut skopeo);
        read(target) == want.image.digests()
    });
}

/// Does it for each image by tag and by digest. `pull` says whether what it got is the whole image,
/// unchanged.
fn pulls_over_tls(pull: impl Fn(&Setup, &Want, &Path) -> bool) {
    let authority = Authority::new("authority.test");
    let mounted = Mounted::with(&authority.issue());
    let mut setup = Setup::with_listener(&mounted.line());
    setup.cell.write("trusted/ca.crt", &authority.pem());
    setup.with_upstream_running_then_stopped(|setup, upstream| {
        let wants = wants(&setup.standin.images);
        let whole = |want: &&Want| want.is_native() && want.by != By::ChildDigest;
        for want in wants.iter().filter(whole) {
            let target = setup.folder();
            assert!(pull(setup, want, target.path()), "{want:?}, {upstream}");
        }
    });
}
