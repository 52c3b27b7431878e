//! The checks of one endpoint. Each builds on the ones before: once one fails, the rest is skipped.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use config::{Auth, EndpointConfig, UpstreamConfig};
use http::HeaderMap;
use hyper_util::client::proxy::matcher::Matcher;
use manifest_model::{Digest, Reference, RepoName};
use protocol::headers::DOCKER_CONTENT_DIGEST;
use tokio::net::{TcpStream, lookup_host};
use tokio_util::task::TaskTracker;
use upstream::{
    BlobSource, EcrTokens, FetchError, Part, PingAnswer, Prober, Upstream, UpstreamMetrics,
};
use url::Url;

use super::{
    ImageTag, Target, certificate, clock,
    report::{Check, Finding, Status},
};

/// The time one check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(20);

const NOT_REACHED: &str = "not checked: the registry cannot be reached";
const NOT_SIGNED_IN: &str = "not checked: the registry refuses our credentials";
const OFFLINE: &str = "offline by configuration: nothing is asked, what is stored is served";
const NO_TAG: &str = "not checked: the tag does not exist";
const NO_LOGIN: &str =
    "set `auth` of the upstream: { username, password_file }, \"docker-config\" or \"ecr\"";
const NO_IMAGE: &str = "not checked: name a tag with --image REPO:TAG";

/// The checks so far, in their order.
#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    /// Runs one check within its timeout; returns whether it passed.
    async fn run(&mut self, name: &'static str, check: impl Future<Output = Finding>) -> bool {
        let started = Instant::now();
        let finding = tokio::time::timeout(CHECK_TIMEOUT, check).await;
        let finding = finding.unwrap_or_else(|_| {
            Finding::failed(format!(
                "no answer within {} seconds",
                CHECK_TIMEOUT.as_secs()
            ))
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

/// The report on an endpoint that is never asked, by doctor neither.
pub(super) fn left_alone() -> Vec<Check> {
    let mut checks = Checks::default();
    checks.add("offline", Finding::skipped(OFFLINE));
    checks.0
}

/// Checks one endpoint, within [`CHECK_TIMEOUT`] for each check.
pub(super) async fn examine(
    target: &Target,
    endpoint: &EndpointConfig,
    ecr: &Arc<EcrTokens>,
) -> Vec<Check> {
    let mut checks = Checks::default();
    let later = ["clock", "auth", "tag", "range", "budget"];
    let before = [&["connect", "tls"], &later[..]].concat();
    if !checks.run("dns", dns(&endpoint.url)).await {
        return checks.skip(&before, NOT_REACHED);
    }
    let limit = target.config.connect_timeout;
    if !checks.run("connect", connect(&endpoint.url, limit)).await {
        return checks.skip(&before[1..], NOT_REACHED);
    }
    let prober = match Prober::new(&target.host, &target.config, endpoint, ecr) {
        Ok(prober) => prober,
        Err(error) => {
            checks.add("tls", Finding::failed(error.chain().to_string()));
            return checks.skip(&later, NOT_REACHED);
        }
    };
    let mut answer = None;
    checks.run("tls", tls(&prober, &mut answer)).await;
    let Some(answer) = answer else {
        return checks.skip(&later, NOT_REACHED);
    };
    checks.add("clock", clock::judge(answer.date, SystemTime::now()));
    let repository = target.images.first().map(|image| &image.repository);
    let auth = auth(&prober, &endpoint.auth, repository, &answer);
    if !checks.run("auth", auth).await {
        return checks.skip(&later[2..], NOT_SIGNED_IN);
    }
    if target.images.is_empty() {
        return checks.skip(&later[2..], NO_IMAGE);
    }
    let mut headers = HeaderMap::new();
    for image in &target.images {
        if checks.run("tag", tag(&prober, image, &mut headers)).await {
            let range = Box::pin(range(target, endpoint, ecr, image));
            checks.run("range", range).await;
        } else {
            checks.add("range", Finding::skipped(NO_TAG));
        }
    }
    checks.add("budget", budget(&headers));
    checks.0
}

/// Connects, and keeps the registry's answer if its certificate is valid.
async fn tls(prober: &Prober, kept: &mut Option<PingAnswer>) -> Finding {
    match prober.ping().await {
        Ok(answer) if answer.is_page => Finding::failed(
            "it answers with a web page: this is no registry, or a proxy or the network wants a login",
        )
        .fix("open the address in a browser; set `endpoints`, or HTTPS_PROXY, to what it shows"),
        Ok(answer) => {
            let finding = match &answer.certificate {
                Some(der) => certificate::judge(der, SystemTime::now()),
                None => Finding::skipped("plain HTTP, as configured"),
            };
            *kept = Some(answer).filter(|_| finding.status != Status::Failed);
            finding
        }
        Err(error) => Finding::failed(error.chain().to_string()),
    }
}

/// Connects, unless a proxy does.
async fn connect(endpoint: &Url, limit: Duration) -> Finding {
    if let Some(proxy) = proxy_for(endpoint) {
        return Finding::skipped(format!("the proxy {proxy} connects"));
    }
    let Some(host) = endpoint.host_str() else {
        return Finding::failed("the URL names no host");
    };
    let port = endpoint.port_or_known_default().unwrap_or(443);
    let host = host.trim_matches(['[', ']']);
    match tokio::time::timeout(limit, TcpStream::connect((host, port))).await {
        Ok(Ok(stream)) => Finding::ok(match stream.peer_addr() {
            Ok(address) => address.to_string(),
            Err(_) => "connected".to_owned(),
        }),
        Ok(Err(error)) => {
            let detail = match error.kind() {
                ErrorKind::ConnectionRefused => {
                    format!("the connection was refused: nothing listens on port {port} there")
                }
                _ => error.to_string(),
            };
            Finding::failed(detail)
                .fix("correct `endpoints`, or open the way there in the firewall")
        }
        Err(_) => Finding::failed(format!("no connection within {limit:?}"))
            .fix("open the way there in the firewall, or set HTTPS_PROXY"),
    }
}

/// Looks up the name, unless a proxy does.
async fn dns(endpoint: &Url) -> Finding {
    if let Some(proxy) = proxy_for(endpoint) {
        return Finding::skipped(format!("the proxy {proxy} looks up the name"));
    }
    let Some(url::Host::Domain(host)) = endpoint.host() else {
        return Finding::skipped("the URL has an address instead of a name");
    };
    let port = endpoint.port_or_known_default().unwrap_or(443);
    match lookup_host((host, port)).await {
        Ok(found) => {
            let (v4, v6): (Vec<_>, Vec<_>) = found.partition(SocketAddr::is_ipv4);
            Finding::ok(format!("{} IPv4 and {} IPv6 addresses", v4.len(), v6.len()))
        }
        Err(error) => Finding::failed(format!("{host} has no address: {error}"))
            .fix("correct `endpoints`, or the resolver of this machine (/etc/resolv.conf)"),
    }
}

/// The proxy that the environment names for this endpoint, without its credentials. The rules are
/// those of the HTTP client.
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
    answer: &PingAnswer,
) -> Finding {
    let is_anonymous = matches!(auth, Auth::Anonymous);
    let identity = identity(auth);
    match prober.authenticate(repository).await {
        Ok(()) if answer.is_open() && !is_anonymous => Finding::ok(format!(
            "the registry asked for no credentials, so those of {identity} are not tested"
        )),
        Ok(()) => Finding::ok(format!("signed in as {identity}")),
        // Some registries give every client a token for public images, but not for `/v2/` itself.
        Err(FetchError::Refused { status, .. }) if is_anonymous && repository.is_none() => {
            Finding::warning(format!(
                "{status} for /v2/ without credentials; check with --image whether images can be read"
            ))
            .fix(NO_LOGIN)
        }
        Err(error) if is_anonymous => {
            Finding::failed(format!("as {identity}: {}", error.chain())).fix(NO_LOGIN)
        }
        Err(error) => Finding::failed(format!("as {identity}: {}", error.chain())).fix(
            "correct `auth` of the upstream; what an identity needs is in docs/credentials.md",
        ),
    }
}

/// The identity of our credentials, in words.
fn identity(auth: &Auth) -> String {
    let role = |role: &Option<config::Role>| {
        role.as_ref()
            .map_or_else(String::new, |role| format!(" with the role {}", role.arn))
    };
    match auth {
        Auth::Anonymous => "an anonymous client".to_owned(),
        Auth::Ecr(auth) => format!("the AWS identity{}", role(&auth.role)),
        Auth::EcrPublic(auth) => format!("the AWS identity{}", role(&auth.role)),
        Auth::DockerConfig => "the login in the docker configuration".to_owned(),
        Auth::Password { username, .. } => username.clone(),
    }
}

async fn tag(prober: &Prober, image: &ImageTag, headers: &mut HeaderMap) -> Finding {
    let ImageTag {
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
                    "{repository}:{tag} exists; the registry sends no digest"
                )),
            }
        }
        Err(FetchError::NotFound { .. }) => {
            Finding::failed(format!("there is no {repository}:{tag}"))
        }
        Err(error) => Finding::failed(error.chain().to_string()),
    }
}

/// Asks for a blob from its second byte on, as a resumed download does.
async fn range(
    target: &Target,
    endpoint: &EndpointConfig,
    ecr: &Arc<EcrTokens>,
    image: &ImageTag,
) -> Finding {
    let config = UpstreamConfig {
        endpoints: vec![endpoint.clone()],
        ..target.config.clone()
    };
    let second_byte = async {
        let tally = UpstreamMetrics::default().tally(&config.pattern);
        let tasks = TaskTracker::new();
        let upstream = Upstream::new(target.host.clone(), config, ecr, tally, tasks)?;
        let upstream = Arc::new(upstream);
        let Some((blob, size)) = some_blob(&upstream, image).await? else {
            return Ok(None);
        };
        let deadline = upstream.deadline();
        let source = BlobSource::new(upstream, image.repository.clone(), blob);
        match source.get(Part::Bytes(1, Some(size)), &deadline).await {
            Ok(body) => Ok(Some(body.start)),
            Err(error) => match error.range_refusal() {
                Some(refusal) => {
                    let whole = source.get_without_range(Some(refusal), &deadline);
                    Ok(Some(whole.await?.start))
                }
                None => Err(error),
            },
        }
    };
    match second_byte.await {
        Ok(Some(1)) => Finding::ok("an interrupted download resumes where it stopped"),
        Ok(Some(_)) => {
            Finding::warning("ranges are not answered: an interrupted download starts again")
        }
        Ok(None) => Finding::skipped("the image has no blob"),
        Err(error) => Finding::failed(format!("a blob cannot be read: {}", error.chain())),
    }
}

/// The config of the image, or of the first image of an index; else a layer. It has a second byte.
async fn some_blob(
    upstream: &Upstream,
    image: &ImageTag,
) -> Result<Option<(Digest, u64)>, FetchError> {
    let tag = Reference::Tag(image.tag.clone());
    let (name, deadline) = (&image.repository, upstream.deadline());
    let mut manifest = upstream.manifest(name, &tag, &deadline).await?;
    if let Some(child) = manifest.entries().first() {
        let child = Reference::Digest(child.digest);
        manifest = upstream.manifest(name, &child, &deadline).await?;
    }
    let config = manifest.config().or(manifest.layers().first());
    let config = config.filter(|blob| blob.size > 1);
    Ok(config.map(|blob| (blob.digest, blob.size)))
}

/// The rest of a pull limit, from headers like Docker Hub's: `76;w=21600`.
fn budget(headers: &HeaderMap) -> Finding {
    let number = |name: &str| -> Option<u64> {
        let value = headers.get(name)?.to_str().ok()?;
        value.split(';').next()?.trim().parse().ok()
    };
    match (number("ratelimit-remaining"), number("ratelimit-limit")) {
        (Some(0), _) => Finding::failed("no pulls are left in this window"),
        (Some(left), Some(limit)) if left * 10 < limit => {
            Finding::warning(format!("{left} of {limit} pulls are left"))
        }
        (Some(left), Some(limit)) => Finding::ok(format!("{left} of {limit} pulls are left")),
        (Some(left), None) => Finding::ok(format!("{left} pulls are left")),
        (None, _) => Finding::skipped("the registry reports no limit"),
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
