//! Archway as each test runs it: with an empty cache, in front of the stand-in under its two names.

use integration_tests::proxy;
use integration_tests::proxy::Archway;
use tokio::runtime;

use crate::gate::Gate;
use crate::images::TAG;
use crate::setup::TEAM;
use crate::standin::{ECR_HOST, MADE_OF, Standin};

/// The tag Archway makes an index for, of what is in ECR under a tag for each architecture.
pub(crate) const MADE: &str = "made";

/// What a test adds to its configuration.
#[derive(Default)]
pub(crate) struct More<'a> {
    /// Lines for its listener.
    pub(crate) listener: &'a str,
    /// Whole tables.
    pub(crate) tables: &'a str,
}

/// Starts one whose only ways to the stand-in lead through these two gates.
pub(crate) fn start(standin: &Standin, registry: &Gate, ecr_api: &Gate, more: &More) -> Archway {
    let ecr = format!(
        r#"{{ ecr = {{ endpoint = "{}", region = "us-east-1" }} }}"#,
        ecr_api.url()
    );
    let hub = format!(
        r#"{{ username = "AWS", password_file = "{}" }}"#,
        standin.token_file.display()
    );
    let made = format!(
        "[[upstream.\"{ECR_HOST}\".virtual_index]]\nname = \"{TEAM}/*:{MADE}\"\nsources = {:?}",
        MADE_OF.map(|architecture| format!("{TEAM}/*:{TAG}-{architecture}"))
    );
    let mut setup = proxy::Setup::new()
        .listener("127.0.0.1", more.listener)
        // As by default: real clients must not be able to tell.
        .prefetch("mode = \"learned\"")
        .table(&upstream(ECR_HOST, registry, &ecr))
        .table(&made)
        .table(&upstream("docker.io", registry, &hub))
        .table(more.tables);
    for (name, value) in &standin.credentials {
        setup = setup.env(name, value);
    }
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(setup.start())
}

/// A tag is stale after a second, so that pulls with the upstream stopped are served from the stale
/// copy.
fn upstream(host: &str, registry: &Gate, auth: &str) -> String {
    format!(
        "[upstream.\"{host}\"]\nendpoints = [\"{}\"]\nauth = {auth}\ntag_ttl = \"1s\"",
        registry.url()
    )
}
