//! The checks of one endpoint. Each builds on those before it: one that cannot work after a failure
//! is skipped.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use config::{Auth, EndpointConfig, UpstreamConfig};
use http::HeaderMap;
use hyper_util::client::proxy::matcher::Matcher;
use manifest_model::{Digest, Reference, RepoName};
use protocol::headers::DOCKER_CONTENT_DIGEST;
use tokio::net::lookup_host;
use tokio_util::task::TaskTracker;
use upstream::{
    BlobSource, EcrTokens, FetchError, Part, PingAnswer, Prober, Upstream, UpstreamMetrics,
};
use url::Url;

use super::{
    Image, Patient, certificate, clock,
    report::{Check, Finding, Status},
};

/// How long one check may take.
const PATIENCE: Duration = Duration::from_secs(20);

const NOT_REACHED: &str = "not looked at: the registry cannot be reached";
const NOT_LET_IN: &str = "not looked at: the registry does not let us in";
const NO_IMAGE: &str = "name a tag to ask for: --image REPO:TAG";

/// The findings so far, in the order they were made.
#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    /// Runs one check within its timeout. Returns whether it passed, so that later checks make
    /// sense.
    async fn run(&mut self, name: &'static str, check: impl Future<Output = Finding>) -> bool {
        let started = Instant::now();
        let finding = tokio::time::timeout(PATIENCE, check).await;
        let finding = finding.unwrap_or_else(|_| {
            Finding::failed(format!("no answer within {} seconds", PATIENCE.as_secs()))
        });
        let good = finding.status != Status::Failed;
        self.0.push(finding.named(name, started.elapsed()));
        good
    }

    fn add(&mut self, name: &'static str, finding: Finding) {
        self.0.push(finding.named(name, Duration::ZERO));
    }

    fn skip(mut self, names: &[&'static str], why: &str) -> Vec<Check> {
        for name in names {
            self.add(name, Finding::skipped(why));
        }
        self.0
    }
}

/// Checks one endpoint. Each check takes [`PATIENCE`] at most.
pub(super) async fn examine(
    patient: &Patient,
    endpoint: &EndpointConfig,
    ecr: &Arc<EcrTokens>,
) -> Vec<Check> {
    let mut checks = Checks::default();
    let later = ["clock", "auth", "tag", "range", "budget"];
    if !checks.run("dns", dns(&endpoint.url)).await {
        checks.add("tls", Finding::skipped(NOT_REACHED));
        return checks.skip(&later, NOT_REACHED);
    }
    let prober = match Prober::new(&patient.host, &patient.config, endpoint, ecr) {
        Ok(prober) => prober,
        Err(error) => {
            checks.add("tls", Finding::failed(error.chain().to_string()));
            return checks.skip(&later, NOT_REACHED);
        }
    };
    let mut met = None;
    checks.run("tls", tls(&prober, &mut met)).await;
    let Some(met) = met else {
        return checks.skip(&later, NOT_REACHED);
    };
    checks.add("clock", clock::judge(met.date, SystemTime::now()));
    let repository = patient.images.first().map(|image| &image.repository);
    let auth = auth(&prober, &endpoint.auth, repository, &met);
    if !checks.run("auth", auth).await {
        return checks.skip(&later[2..], NOT_LET_IN);
    }
    if patient.images.is_empty() {
        return checks.skip(&later[2..], NO_IMAGE);
    }
    let mut headers = HeaderMap::new();
    for image in &patient.images {
        if checks.run("tag", tag(&prober, image, &mut headers)).await {
            let range = Box::pin(range(patient, endpoint, ecr, image));
            checks.run("range", range).await;
        } else {
            checks.add("range", Finding::skipped("not looked at: there is no tag"));
        }
    }
    checks.add("budget", budget(&headers));
    checks.0
}

/// Connects, and puts the answer of the registry into `met` unless the check failed.
async fn tls(prober: &Prober, met: &mut Option<PingAnswer>) -> Finding {
    match prober.ping().await {
        Ok(answer) => {
            let finding = match &answer.certificate {
                Some(der) => certificate::judge(der, SystemTime::now()),
                None => Finding::skipped("plain HTTP, as configured"),
            };
            *met = Some(answer).filter(|_| finding.status != Status::Failed);
            finding
        }
        Err(error) => Finding::failed(error.chain().to_string()),
    }
}

/// Looks the name up, unless a proxy would do that: such a name need not resolve here.
async fn dns(endpoint: &Url) -> Finding {
    if let Some(proxy) = proxy_for(endpoint) {
        return Finding::skipped(format!("the proxy {proxy} is asked, and looks up the name"));
    }
    let Some(url::Host::Domain(host)) = endpoint.host() else {
        return Finding::skipped("an address, not a name");
    };
    let port = endpoint.port_or_known_default().unwrap_or(443);
    match lookup_host((host, port)).await {
        Ok(found) => {
            let (v4, v6): (Vec<_>, Vec<_>) = found.partition(SocketAddr::is_ipv4);
            Finding::ok(format!("{} IPv4 and {} IPv6 addresses", v4.len(), v6.len()))
        }
        Err(error) => Finding::failed(format!("{host} has no address: {error}")),
    }
}

/// The proxy that the environment names for this endpoint, as the HTTP client reads it, without
/// credentials.
fn proxy_for(endpoint: &Url) -> Option<String> {
    let intercept = Matcher::from_system().intercept(&endpoint.as_str().parse().ok()?)?;
    let proxy = intercept.uri();
    let port = proxy
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    Some(format!("{}{port}", proxy.host()?))
}

async fn auth(
    prober: &Prober,
    auth: &Auth,
    repository: Option<&RepoName>,
    met: &PingAnswer,
) -> Finding {
    let (who, is_nobody) = identity(auth);
    match prober.authenticate(repository).await {
        Ok(()) if met.is_open() && !is_nobody => Finding::ok(format!(
            "the registry asked for no credentials: whether those of {who} are good is not known"
        )),
        Ok(()) => Finding::ok(format!("let in as {who}")),
        // Some registries give everybody a token for public repositories that does not open `/v2/`.
        Err(FetchError::Refused { status, .. }) if is_nobody && repository.is_none() => {
            Finding::warning(format!(
                "nobody in particular gets {status} for /v2/; whether an image may be read is told by --image"
            ))
        }
        Err(error) => Finding::failed(format!("as {who}: {}", error.chain())),
    }
}

/// The identity in words, and whether it is anonymous.
fn identity(auth: &Auth) -> (String, bool) {
    let role = |role: &Option<config::Role>| {
        role.as_ref()
            .map_or_else(String::new, |role| format!(" with the role {}", role.arn))
    };
    match auth {
        Auth::Anonymous => ("nobody".to_owned(), true),
        Auth::Ecr(auth) => (format!("the AWS identity{}", role(&auth.role)), false),
        Auth::EcrPublic(auth) => (format!("the AWS identity{}", role(&auth.role)), false),
        Auth::DockerConfig => ("what docker's config says".to_owned(), false),
        Auth::Password { username, .. } => (username.clone(), false),
    }
}

async fn tag(prober: &Prober, image: &Image, headers: &mut HeaderMap) -> Finding {
    let Image {
        repository, tag, ..
    } = image;
    match prober.head_tag(repository, tag).await {
        Ok(answer) => {
            *headers = answer;
            match headers
                .get(DOCKER_CONTENT_DIGEST)
                .map(|value| value.to_str())
            {
                Some(Ok(digest)) => Finding::ok(format!("{repository}:{tag} is {digest}")),
                _ => Finding::ok(format!(
                    "{repository}:{tag} is there; its digest is not told"
                )),
            }
        }
        Err(FetchError::NotFound { .. }) => {
            Finding::failed(format!("there is no {repository}:{tag}"))
        }
        Err(error) => Finding::failed(error.chain().to_string()),
    }
}

/// Whether an interrupted download can resume: asks for a blob from its second byte on.
async fn range(
    patient: &Patient,
    endpoint: &EndpointConfig,
    ecr: &Arc<EcrTokens>,
    image: &Image,
) -> Finding {
    let config = UpstreamConfig {
        endpoints: vec![endpoint.clone()],
        ..patient.config.clone()
    };
    let second_byte = async {
        let tally = UpstreamMetrics::default().tally(&config.pattern);
        let tasks = TaskTracker::new();
        let upstream = Upstream::new(patient.host.clone(), config, ecr, tally, tasks)?;
        let upstream = Arc::new(upstream);
        let Some(blob) = some_blob(&upstream, image).await? else {
            return Ok(None);
        };
        let source = BlobSource::new(upstream, image.repository.clone(), blob);
        let body = source.get(Part::Bytes(1, None)).await?;
        Ok::<_, FetchError>(Some(body.start))
    };
    match second_byte.await {
        Ok(Some(1)) => Finding::ok("a broken download goes on where it broke"),
        Ok(Some(_)) => Finding::warning("ranges are ignored: a broken download starts again"),
        Ok(None) => Finding::skipped("the image has no blob"),
        Err(error) => Finding::failed(format!("a blob: {}", error.chain())),
    }
}

/// A blob of the image, or of the first image of an index.
async fn some_blob(upstream: &Upstream, image: &Image) -> Result<Option<Digest>, FetchError> {
    let tag = Reference::Tag(image.tag.clone());
    let mut manifest = upstream.manifest(&image.repository, &tag).await?;
    if let Some(child) = manifest.entries().first() {
        let child = Reference::Digest(child.digest);
        manifest = upstream.manifest(&image.repository, &child).await?;
    }
    let config = manifest.config().or(manifest.layers().first());
    Ok(config.map(|blob| blob.digest))
}

/// The pulls left under a limit, in the form of Docker Hub: `76;w=21600`.
fn budget(headers: &HeaderMap) -> Finding {
    let number = |name: &str| -> Option<u64> {
        let value = headers.get(name)?.to_str().ok()?;
        value.split(';').next()?.trim().parse().ok()
    };
    match (number("ratelimit-remaining"), number("ratelimit-limit")) {
        (Some(0), _) => Finding::failed("no pull is left for now"),
        (Some(left), Some(limit)) if left * 10 < limit => {
            Finding::warning(format!("{left} of {limit} pulls are left"))
        }
        (Some(left), Some(limit)) => Finding::ok(format!("{left} of {limit} pulls are left")),
        (Some(left), None) => Finding::ok(format!("{left} pulls are left")),
        (None, _) => Finding::skipped("it tells of no limit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_judged_by_what_is_left_of_it() {
        for (left, limit, status) in [
            ("76;w=21600", "100;w=21600", Status::Ok),
            ("9;w=21600", "100;w=21600", Status::Warning),
            ("0;w=21600", "100;w=21600", Status::Failed),
            ("many", "100", Status::Skipped),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("ratelimit-remaining", left.parse().unwrap());
            headers.insert("ratelimit-limit", limit.parse().unwrap());
            assert_eq!(budget(&headers).status, status, "{left} of {limit}");
        }
        assert_eq!(budget(&HeaderMap::new()).status, Status::Skipped);
    }
}
