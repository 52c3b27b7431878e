//! What each test starts with: a cell, an Archway with an empty cache, and gates to the stand-in.

use integration_tests::proxy::{self, Archway};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::archway::{self, More};
use crate::cell::Cell;
use crate::gate::Gate;
use crate::matrix::Route;
use crate::standin::{self, ECR_HOST, Standin};

/// The namespace the images lie in on docker.io.
pub(crate) const LIBRARY: &str = "library";

/// The namespace the images lie in on ECR.
pub(crate) const TEAM: &str = "team";

/// See the module's head.
pub(crate) struct Setup {
    pub(crate) archway: Archway,
    pub(crate) cell: Cell,
    pub(crate) standin: &'static Standin,
    registry: Gate,
    ecr_api: Gate,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self::with(&More::default())
    }

    /// The same with more lines for the table of Archway's listener.
    pub(crate) fn with_listener(lines: &str) -> Self {
        Self::with(&More {
            listener: lines,
            ..More::default()
        })
    }

    /// The same with more tables in Archway's configuration.
    pub(crate) fn with_tables(tables: &str) -> Self {
        Self::with(&More {
            tables,
            ..More::default()
        })
    }

    /// As [`Setup::new`], with credentials in the cell for the way straight to the upstream;
    /// Archway is asked without any.
    pub(crate) fn signed_in() -> Self {
        let setup = Self::new();
        setup.sign_in();
        setup
    }

    /// Puts those credentials where a client finds them.
    pub(crate) fn sign_in(&self) {
        let credentials = self.standin.docker_config();
        self.cell.write("docker/config.json", &credentials);
    }

    /// A site without a way out: a cell with a network of its own, and in that the site's gateway, empty
    /// and offline. Whatever a client or the gateway dials beyond it is refused by the kernel.
    pub(crate) fn at_site(standin: &'static Standin) -> Self {
        let cell = Cell::without_a_way_out();
        let nowhere = ["http://127.0.0.1:1".to_owned()];
        let gateway = proxy::Setup::new()
            .top("offline = true")
            .upstream_at(ECR_HOST, &nowhere, "auth = \"ecr\"")
            .run_by(&cell.network());
        Self {
            archway: runtime().block_on(gateway.start()),
            cell,
            standin,
            registry: Gate::before(standin.registry),
            ecr_api: Gate::before(standin.ecr_api),
        }
    }

    fn with(more: &More) -> Self {
        Self::before_with(standin::shared(), more)
    }

    /// As [`Setup::new`], before a stand-in of its own.
    pub(crate) fn before(standin: &'static Standin) -> Self {
        Self::before_with(standin, &More::default())
    }

    fn before_with(standin: &'static Standin, more: &More) -> Self {
        let registry = Gate::before(standin.registry);
        let ecr_api = Gate::before(standin.ecr_api);
        Self {
            archway: archway::start(standin, &registry, &ecr_api, more),
            cell: Cell::new(),
            standin,
            registry,
            ecr_api,
        }
    }

    /// From now on neither the registry nor ECR's API can be reached by this test's Archway.
    pub(crate) fn stop_upstream(&mut self) {
        self.registry.shut();
        self.ecr_api.shut();
    }

    /// Does the same with the upstream running, and once more after it was stopped: from then on
    /// neither the registry nor ECR's API can be reached by this test's Archway. Then once more with
    /// an Archway whose upstreams are offline, and which has what the first one has stored.
    ///
    /// Whatever the clients asked for, Archway must never have asked for credentials, and never
    /// have failed.
    pub(crate) fn with_upstream_running_then_stopped(&mut self, pulls: impl Fn(&Self, &str)) {
        pulls(self, "upstream running");
        self.stop_upstream();
        pulls(self, "upstream stopped");
        self.has_never_failed();
        self.go_offline();
        pulls(self, "offline");
        self.has_never_failed();
    }

    fn has_never_failed(&self) {
        for request in self.archway.log().requests() {
            let status = request["status"].as_u64().expect("a status");
            assert!(status < 500 && status != 401, "{request}");
        }
    }

    /// From now on this test's Archway asks nobody, at the same address.
    fn go_offline(&mut self) {
        runtime().block_on(self.archway.restart_here("offline = true"));
    }

    /// The images' repositories for a client that is led by the name itself: `127.0.0.1:PORT/team`
    /// or, with Archway, `127.0.0.1:PORT/HOST/team`.
    pub(crate) fn by_path(&self, route: Route) -> String {
        match route {
            Route::Upstream => format!("{}/{TEAM}", self.standin.registry),
            Route::Archway => format!("{}/{ECR_HOST}/{TEAM}", self.archway.address()),
        }
    }

    /// A new folder in the cell's.
    pub(crate) fn folder(&self) -> TempDir {
        TempDir::new_in(self.cell.path("")).expect("a new folder")
    }
}

/// What waits for Archway on this thread.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}
