//! One fault in one situation: what the client got, after how long, and how often the upstream was
//! asked.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use integration_tests::auth::{Auth, EcrToken, Expired, TokenService};
use integration_tests::aws::EcrApi;
use integration_tests::client::{Answer, Download, End, blob_path};
use integration_tests::dead_end::DeadEnd;
use integration_tests::faults::{Cut, Fault, Gate, On};
use integration_tests::images::{self, BigBlob, Blob, Content};
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::{Blobs, FakeRegistry};
use integration_tests::tls_front::{Authority, Clients, TlsFront};
use integration_tests::wait::within;

use super::rows::{Row, Strike, Token};

const SIZE: u64 = 400_000;
/// Nothing is answered from a memory that would hide the upstream.
const NO_MEMORY: &str = "tag_ttl = \"0s\"\nnot_found_ttl = \"0s\"";

/// As many calls as at default settings fit into this patience.
const SHORT: &str = "patience = \"8s\"\nconnect_timeout = \"1s\"\n\
                     header_timeout = \"1s\"\nidle_timeout = \"1s\"";

/// How long Archway waits for an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timeouts {
    /// As long as by default.
    Default,
    /// Shorter, for every run of the tests.
    Short,
}

impl Timeouts {
    fn lines(self) -> &'static str {
        match self {
            Self::Default => "",
            Self::Short => SHORT,
        }
    }
}

/// What the client asks for, and what Archway has of it when the fault sets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Situation {
    TagCached,
    TagCold,
    DigestCached,
    BlobCold,
    BlobHalfWay,
}

impl Situation {
    pub(super) const ALL: [Self; 5] = [
        Self::TagCached,
        Self::TagCold,
        Self::DigestCached,
        Self::BlobCold,
        Self::BlobHalfWay,
    ];
}

/// What came of one request.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) status: StatusCode,
    pub(super) code: String,
    /// `archway-cache: stale`.
    pub(super) is_stale: bool,
    /// Whether a challenge came along.
    pub(super) has_challenge: bool,
    /// Whether all of it came, and was right; `None` for an answer that is an error.
    pub(super) whole: Option<bool>,
    pub(super) took: Duration,
    /// Requests that reached the registry and its store, probes left out.
    pub(super) asked: usize,
}

impl Outcome {
    fn of_blob(status: StatusCode, whole: bool) -> Self {
        Self {
            status,
            code: String::new(),
            is_stale: false,
            has_challenge: false,
            whole: Some(whole),
            took: Duration::ZERO,
            asked: 0,
        }
    }
}

/// A registry, Archway in front of it, and what keeps the fault up.
struct Scene {
    registry: FakeRegistry,
    archway: Archway,
    content: Content,
    blob: Blob,
    authority: Authority,
    account: Option<Account>,
    /// Kept for what its drop would end.
    dead_end: Option<DeadEnd>,
}

/// Who Archway is at the registry.
enum Account {
    Ecr(EcrToken, EcrApi),
    EcrPublic(TokenService),
    Timeless(TokenService),
}

impl Account {
    async fn of(token: Token) -> Self {
        match token {
            Token::Ecr => {
                let token = EcrToken::new(Expired::Forbidden);
                Self::Ecr(token.clone(), EcrApi::start(token).await)
            }
            Token::EcrPublic => {
                let life = Duration::from_mins(5);
                Self::EcrPublic(TokenService::start_with(None, life, Expired::BadRequest).await)
            }
            Token::Timeless => Self::Timeless(TokenService::start(None).await),
        }
    }

    /// What the registry asks for, and the line of the config that gives it.
    fn demand(&self) -> (Auth, String) {
        match self {
            Self::Ecr(token, api) => (
                Auth::Ecr(token.clone()),
                api.auth(", region = \"us-east-1\""),
            ),
            Self::EcrPublic(tokens) | Self::Timeless(tokens) => {
                (Auth::Bearer(tokens.clone()), String::new())
            }
        }
    }

    fn expire(&self) {
        match self {
            Self::Ecr(token, _) => token.rotate(),
            Self::EcrPublic(tokens) => tokens.revoke_all(),
            Self::Timeless(tokens) => {
                tokens.word(|wording| wording.answer = Some("{\"token\":\"TOKEN\"}".to_owned()));
                tokens.revoke_all();
            }
        }
    }
}

/// Plays the fault in the situation: two requests, one after the other.
pub(super) async fn play(row: &Row, situation: Situation, timeouts: Timeouts) -> [Outcome; 2] {
    let mut scene = Scene::set(&row.strike, timeouts).await;
    match situation {
        Situation::TagCached | Situation::DigestCached => {
            scene
                .archway
                .client()
                .manifest("team/app", "v1")
                .await
                .expect(200);
        }
        Situation::TagCold | Situation::BlobCold => {}
        Situation::BlobHalfWay => {
            let (scene, first) = scene.half_way(&row.strike).await;
            return [first, scene.ask(situation).await];
        }
    }
    scene = scene.strike(&row.strike, situation).await;
    [scene.ask(situation).await, scene.ask(situation).await]
}

impl Scene {
    async fn set(strike: &Strike, timeouts: Timeouts) -> Self {
        let blob = Blob::from(BigBlob::new("fault", SIZE));
        let content = images::of_blob(&blob);
        let registry = FakeRegistry::with("team/app", "v1", &content).await;
        registry.push("team/app", "warm", &images::of_blobs(&[]));
        let authority = Authority::new();
        let mut lines = format!(
            "{NO_MEMORY}\n{}\nca_file = \"{}\"",
            timeouts.lines(),
            authority.ca_file().display()
        );
        let account = match strike {
            Strike::Expire(token) => Some(Account::of(*token).await),
            _ => None,
        };
        if let Some((demand, line)) = account.as_ref().map(Account::demand) {
            registry.require(demand);
            lines = format!("{lines}\n{line}");
        }
        let archway = Setup::in_front_of_with(&registry, &lines)
            .aws_credentials()
            .start()
            .await;
        // It has been asked before: tokens and connections are there.
        archway
            .client()
            .manifest("team/app", "warm")
            .await
            .expect(200);
        Self {
            registry,
            archway,
            content,
            blob,
            authority,
            account,
            dead_end: None,
        }
    }

    async fn strike(mut self, strike: &Strike, situation: Situation) -> Self {
        let size = match situation {
            Situation::BlobCold | Situation::BlobHalfWay => SIZE,
            _ => self.content.root().bytes.len() as u64,
        };
        let address = self.registry.address();
        match strike {
            Strike::Requests(faults) => {
                for fault in faults(size) {
                    self.registry.faults().add(On::all(), fault);
                }
            }
            Strike::Refuse => self.registry.close().await,
            Strike::Reset => {
                self.registry.close().await;
                self.dead_end = Some(DeadEnd::resetting(address));
            }
            Strike::BlackHole => {
                self.registry.close().await;
                self.dead_end = Some(DeadEnd::black_hole(address).await);
            }
            Strike::NoName => {
                let (from, to) = (self.registry.url(), "http://registry.invalid");
                self.archway = self.archway.restart_with(&from, to).await;
            }
            Strike::WrongName => {
                let (from, to) = (self.registry.url(), self.wrong_name().await);
                self.archway = self.archway.restart_with(&from, &to).await;
            }
            Strike::ExpiredUrl => {
                let redirect = Fault::Redirect(self.registry.expired_url());
                self.registry.faults().add(On::path("/v2/"), redirect);
            }
            Strike::Digests(header) => {
                self.registry
                    .quirks(|quirks| quirks.digest_header = *header);
            }
            Strike::Expire(_) => self.account.iter().for_each(Account::expire),
            Strike::Heads(fault) => {
                let heads = On::all().method(Method::HEAD);
                self.registry.faults().add(heads, fault.clone());
            }
            Strike::Store(faults, times) => self.strike_store(&faults(size), *times),
            Strike::NoStore => {
                let store = DeadEnd::black_hole(([127, 0, 0, 1], 0).into()).await;
                let redirect = Fault::Redirect(format!("http://{}/layer", store.address()));
                self.registry.faults().add(On::path("/blobs/"), redirect);
                self.dead_end = Some(store);
            }
        }
        self
    }

    /// From here on blobs come from the store, which has these faults: so often, or for good.
    fn strike_store(&self, faults: &[Fault], times: Option<usize>) {
        self.registry
            .quirks(|quirks| quirks.blobs = Blobs::Redirected);
        for fault in faults {
            let store = On::path("/layers/");
            match times {
                Some(times) => self.registry.faults().times(times, store, fault.clone()),
                None => self.registry.faults().add(store, fault.clone()),
            }
        }
    }

    async fn wrong_name(&self) -> String {
        let target = self.registry.address();
        let front = TlsFront::start(&self.authority, "other.test", Clients::Any, target).await;
        front.url()
    }

    /// Half of the blob has come when the line breaks, and what is asked for the rest has the
    /// fault.
    async fn half_way(mut self, strike: &Strike) -> (Self, Outcome) {
        let gate = Gate::new();
        let faults = self.registry.faults();
        let blobs = On::path("/blobs/");
        faults.times(1, blobs.clone(), Fault::HoldBody(SIZE / 2, gate.clone()));
        faults.times(1, blobs.clone(), Fault::Cut(SIZE / 2, Cut::Fin));
        let path = blob_path("team/app", self.blob.digest());
        let mut download = self.archway.client().open(Method::GET, &path).await;
        download.read_to(SIZE / 4, &self.blob, 0).await;
        gate.arrived().await;
        let before = self.asked();
        let started = Instant::now();
        // The process stays, so it is the store that moves.
        self = match strike {
            Strike::NoName => {
                let elsewhere = Fault::Redirect("http://store.invalid/layer".to_owned());
                self.registry.faults().add(blobs, elsewhere);
                self
            }
            Strike::WrongName => {
                let elsewhere = Fault::Redirect(self.wrong_name().await);
                self.registry.faults().add(blobs, elsewhere);
                self
            }
            strike => self.strike(strike, Situation::BlobHalfWay).await,
        };
        gate.open();
        let status = download.status();
        let whole = self.finish(download).await;
        let outcome = Outcome {
            took: started.elapsed(),
            asked: self.asked() - before,
            ..Outcome::of_blob(status, whole)
        };
        (self, outcome)
    }

    async fn ask(&self, situation: Situation) -> Outcome {
        let before = self.asked();
        let started = Instant::now();
        let mut outcome = match situation {
            Situation::TagCached | Situation::TagCold => self.manifest("v1").await,
            Situation::DigestCached => self.manifest(&self.content.root().digest.to_string()).await,
            Situation::BlobCold | Situation::BlobHalfWay => self.blob().await,
        };
        outcome.took = started.elapsed();
        outcome.asked = self.asked() - before;
        outcome
    }

    async fn manifest(&self, reference: &str) -> Outcome {
        let answer = self.archway.client().manifest("team/app", reference).await;
        let root = self.content.root();
        if answer.status == 200 {
            assert_eq!(answer.body, root.bytes, "wrong bytes");
            let digest = answer.header("docker-content-digest");
            assert_eq!(digest, root.digest.to_string());
        }
        outcome_of(&answer)
    }

    async fn blob(&self) -> Outcome {
        let path = blob_path("team/app", self.blob.digest());
        let client = self.archway.client();
        let opened = within("a blob is answered", client.try_open(Method::GET, &path)).await;
        let whole = match opened {
            Ok(download) if download.status() != 200 => {
                return outcome_of(&download.whole().await);
            }
            Ok(download) => self.finish(download).await,
            // Cut off so early that the headers had not gone out.
            Err(_) => false,
        };
        Outcome::of_blob(StatusCode::OK, whole)
    }

    /// Whether the body came to its end; one that does is right.
    async fn finish(&self, download: Download) -> bool {
        match download.finish_unsure(&self.blob).await {
            (End::Complete(bytes), is_right) => {
                assert!(is_right && bytes == SIZE, "a wrong body has ended well");
                true
            }
            (End::Broken(_), _) => false,
        }
    }

    fn asked(&self) -> usize {
        let all = self.registry.log().all();
        all.iter().filter(|entry| entry.path != "/v2/").count()
    }
}

fn outcome_of(answer: &Answer) -> Outcome {
    let is_good = answer.status.is_success();
    Outcome {
        status: answer.status,
        code: if is_good {
            String::new()
        } else {
            answer.error_code()
        },
        is_stale: answer.header("archway-cache") == "stale",
        has_challenge: answer.headers.contains_key(http::header::WWW_AUTHENTICATE),
        whole: is_good.then_some(true),
        took: Duration::ZERO,
        asked: 0,
    }
}
