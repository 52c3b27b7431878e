//! What an error says beside its first sentence, for whoever has to find the cause: the request's
//! id, and of an upstream the whole chain of causes, the state of its endpoints, and the command that
//! tells more. Clients such as docker show the message of a 4xx and nothing of a 5xx; `archway
//! explain` shows all of it.

use std::time::{Duration, SystemTime};

use manifest_model::Reference;
use protocol::{official_name::official_name, target::Target};
use serde_json::{Map, Value, json};
use server::exchange::RequestId;
use upstream::{EndpointStatus, Resource, Upstream};

use super::{
    Service,
    context::Context,
    error::{About, ApiError},
};

/// The most characters of a chain of causes: it may hold an upstream's own words.
const MAX_CAUSE_CHARS: usize = 2048;

/// The error, completed for the request that it answers.
pub(super) fn told(
    mut error: ApiError,
    service: &Service,
    context: Option<&Context>,
    id: Option<&RequestId>,
) -> ApiError {
    let mut detail = match error.detail.take() {
        Some(Value::Object(detail)) => detail,
        _ => Map::new(),
    };
    if let (Some(about), Some(context)) = (error.about, context) {
        match about {
            About::Absence(what) => {
                let name = ImageAsked::of(context);
                error.message = name.absent(what);
                detail.insert("next".into(), name.ask_the_upstream().into());
            }
            About::Trouble => {
                let upstream = service.pull.upstreams().find(&context.upstream);
                let upstream = upstream.ok().flatten();
                let cause = error.log.as_deref().unwrap_or(&error.message);
                let cause: String = cause.chars().take(MAX_CAUSE_CHARS).collect();
                detail.insert("cause".into(), cause.into());
                detail.insert("upstream".into(), context.upstream.as_str().into());
                let endpoints = upstream.as_deref().map(endpoints).unwrap_or_default();
                detail.insert("endpoints".into(), endpoints.into());
                let next = format!("archway doctor upstreams {}", context.upstream);
                detail.insert("next".into(), next.into());
            }
        }
    }
    if let Some(id) = id {
        detail.insert("request_id".into(), id.text().into());
    }
    error.detail = (!detail.is_empty()).then_some(Value::Object(detail));
    error
}

/// The state of each endpoint, as `/readyz` has it.
fn endpoints(upstream: &Upstream) -> Vec<Value> {
    upstream.endpoint_statuses().iter().map(endpoint).collect()
}

fn endpoint(status: &EndpointStatus) -> Value {
    let mut told = json!({ "url": status.endpoint, "state": "up" });
    if let Some(outage) = &status.outage {
        let left = outage
            .until
            .saturating_duration_since(tokio::time::Instant::now());
        told["state"] = "down".into();
        told["since"] = time(outage.since_when());
        told["asked_again"] = in_a(left);
        told["cause"] = Value::from(&*outage.reason);
    } else if let Some(pause) = status.held.iter().max_by_key(|pause| pause.left) {
        told["state"] = "limiting".into();
        told["asked_again"] = in_a(pause.left);
        told["cause"] = format!("it limits our requests for {}", pause.kind).into();
    }
    told
}

fn in_a(while_: Duration) -> Value {
    time(SystemTime::now() + while_)
}

fn time(at: SystemTime) -> Value {
    humantime::format_rfc3339_seconds(at).to_string().into()
}

/// What a request asks for, as Archway has read it: half of what is not found was misread.
struct ImageAsked<'a> {
    context: &'a Context,
    /// In full, with `library/`.
    repository: String,
}

impl<'a> ImageAsked<'a> {
    fn of(context: &'a Context) -> Self {
        let name = context.target.repository();
        Self {
            repository: name.map_or_else(String::new, |name| {
                official_name(&context.upstream, name).to_string()
            }),
            context,
        }
    }

    fn absent(&self, what: Resource) -> String {
        let (upstream, repository) = (&self.context.upstream, &self.repository);
        match (what, &self.context.target) {
            (Resource::ReferrersApi, _) => format!("{upstream} has no referrers API"),
            (Resource::Repository, _) => format!("{upstream} has no repository {repository}"),
            (_, Target::Blob(_, digest)) => {
                format!("{upstream} has no blob {digest} in {repository}")
            }
            (_, Target::Manifest(_, Reference::Digest(digest))) => {
                format!("{upstream} has no manifest {digest} in {repository}")
            }
            // ECR says so where it is the repository that it does not have; others do not.
            (_, Target::Manifest(_, Reference::Tag(tag))) if upstream.ecr().is_some() => {
                format!("{upstream} has the repository {repository}, but no tag {tag} in it")
            }
            (_, Target::Manifest(_, Reference::Tag(tag))) => {
                format!("{upstream} has no {repository}:{tag}: no such tag, or no such repository")
            }
            _ => format!("{upstream} has no {repository}"),
        }
    }

    /// The command that asks past the cache.
    fn ask_the_upstream(&self) -> String {
        let (upstream, repository) = (&self.context.upstream, &self.repository);
        match &self.context.target {
            Target::Manifest(_, Reference::Tag(tag)) => {
                format!("archway inspect --direct {upstream}/{repository}:{tag}")
            }
            Target::Manifest(_, Reference::Digest(digest)) | Target::Blob(_, digest) => {
                format!("archway inspect --direct {upstream}/{repository}@{digest}")
            }
            _ => format!("archway doctor upstreams {upstream}"),
        }
    }
}
