//! A Kubernetes API that has nodes and nothing else: lists in pages, watches that go on where they
//! ended, and the ways in which it is seen to fail. What it gives is what a real one gives, as far as
//! `tests/cluster` holds against one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::registry::log::RequestLog;
use crate::server::{Body, Server, full};

/// What is wrong with the API at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// Nothing.
    #[default]
    Fair,
    /// It knows us, and does not let us.
    Forbids,
    /// It takes connections and does not answer.
    Hangs,
    /// It answers with something else.
    Babbles,
    /// Its list has no end, and no node.
    NeverEnds,
    /// It sends one line for ever.
    Floods,
    /// Whatever version is asked for is long gone.
    Forgets,
}

/// A running one; clones are the same one.
#[derive(Clone)]
pub struct KubeApi {
    server: Server,
    log: RequestLog,
    state: Arc<State>,
}

struct State {
    world: Mutex<World>,
    news: watch::Sender<u64>,
}

#[derive(Default)]
struct World {
    revision: u64,
    nodes: BTreeMap<String, Value>,
    events: Vec<(u64, String)>,
    mood: Mood,
}

/// A node as an API tells it.
pub fn node(name: &str, architecture: &str, address: &str) -> Value {
    json!({
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {"providerID": format!("aws:///eu-west-1a/{name}")},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": name},
            ],
            "nodeInfo": {"operatingSystem": "linux", "architecture": architecture, "kubeletVersion": "v1.34.4"},
        },
    })
}

/// The same, with the images, conditions and managed fields that make a real node's thirteen kilobytes.
pub fn stout_node(name: &str, architecture: &str, address: &str) -> Value {
    let mut node = node(name, architecture, address);
    let image = |at: u32| {
        json!({"names": [
            format!("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/service-{at}@sha256:{at:064x}"),
            format!("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/service-{at}:v1.{at}"),
        ], "sizeBytes": 104_857_600 + at})
    };
    node["status"]["images"] = (0..50).map(image).collect();
    node
}

impl KubeApi {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let state = Arc::new(State {
            world: Mutex::default(),
            news: watch::Sender::new(0),
        });
        let log = RequestLog::default();
        let (answering, entries) = (Arc::clone(&state), log.clone());
        let server = Server::start(move |request, _| {
            let entry = entries.record("kubernetes", &request);
            let state = Arc::clone(&answering);
            async move {
                let response = answer(&state, &request).await;
                entry.answered(response.status());
                response
            }
            .boxed()
        })
        .await;
        Self { server, log, state }
    }

    /// The server itself, to be closed and opened.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// What it was asked.
    pub fn log(&self) -> &RequestLog {
        &self.log
    }

    /// How often it was asked for a list, each page counted.
    pub fn lists(&self) -> usize {
        self.asked(|query| !query.contains("watch=true"))
    }

    /// How often it was asked to be watched.
    pub fn watches(&self) -> usize {
        self.asked(|query| query.contains("watch=true"))
    }

    fn asked(&self, is_meant: impl Fn(&str) -> bool) -> usize {
        let entries = self.log.all();
        entries
            .iter()
            .filter(|entry| is_meant(entry.query()))
            .count()
    }

    /// Writes the way to it into a file, as `kubectl` has it.
    pub fn write_kubeconfig(&self, path: &Path) {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": self.server.url()}}],
            "users": [{"name": "test", "user": {"token": "a-token"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        });
        std::fs::write(path, config.to_string()).expect("a writable folder");
    }

    /// Has it behave otherwise from now on.
    pub fn set_mood(&self, mood: Mood) {
        self.world().mood = mood;
    }

    /// Adds a node, or changes the one of that name.
    pub fn apply(&self, mut node: Value) {
        let mut world = self.world();
        world.revision += 1;
        let revision = world.revision;
        node["metadata"]["resourceVersion"] = revision.to_string().into();
        let name = node["metadata"]["name"]
            .as_str()
            .expect("a name")
            .to_owned();
        let kind = match world.nodes.insert(name, node.clone()) {
            Some(_) => "MODIFIED",
            None => "ADDED",
        };
        self.tell(&mut world, kind, &node);
    }

    /// Deletes a node.
    pub fn delete(&self, name: &str) {
        let mut world = self.world();
        world.revision += 1;
        let mut node = world.nodes.remove(name).expect("a node that is there");
        node["metadata"]["resourceVersion"] = world.revision.to_string().into();
        self.tell(&mut world, "DELETED", &node);
    }

    fn tell(&self, world: &mut World, kind: &str, node: &Value) {
        let line = format!("{}\n", json!({"type": kind, "object": node}));
        let revision = world.revision;
        world.events.push((revision, line));
        self.state.news.send_replace(revision);
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.state.world.lock().expect("no panic under it")
    }
}

async fn answer(state: &Arc<State>, request: &Request<Incoming>) -> Response<Body> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let is_watch = query.contains("watch=true");
    let mood = state.world.lock().expect("no panic under it").mood;
    match mood {
        Mood::Hangs => std::future::pending().await,
        Mood::Forbids => status(
            StatusCode::FORBIDDEN,
            "Forbidden",
            "nodes is forbidden: User \"test\" cannot list resource \"nodes\"",
        ),
        Mood::Babbles => Response::new(full("<html>It works!</html>")),
        Mood::Floods => flood(),
        Mood::NeverEnds if !is_watch => json_response(&json!({
            "kind": "NodeList", "apiVersion": "v1", "items": [],
            "metadata": {"resourceVersion": "1", "continue": "more"},
        })),
        Mood::Forgets if is_watch => events(stream::iter([gone()]).boxed()),
        _ if request.uri().path() != "/api/v1/nodes" => status(
            StatusCode::NOT_FOUND,
            "NotFound",
            "there are nodes here, and nothing else",
        ),
        _ if is_watch => watch(state, parameter(&query, "resourceVersion")),
        _ => list(state, &query),
    }
}

/// A page of nodes, which names the one it ends with.
fn list(state: &State, query: &str) -> Response<Body> {
    let world = state.world.lock().expect("no panic under it");
    let limit = parameter(query, "limit").and_then(|limit| limit.parse().ok());
    let limit: usize = limit.unwrap_or(usize::MAX);
    let after = parameter(query, "continue").unwrap_or_default();
    let rest = world.nodes.iter().filter(|(name, _)| **name > after);
    let page: Vec<(&String, &Value)> = rest.take(limit).collect();
    let is_last = page
        .last()
        .is_none_or(|(name, _)| world.nodes.keys().next_back() == Some(name));
    let next = if is_last {
        ""
    } else {
        page.last().map_or("", |(name, _)| name)
    };
    let items: Vec<&Value> = page.iter().map(|(_, node)| *node).collect();
    json_response(&json!({
        "kind": "NodeList", "apiVersion": "v1", "items": items,
        "metadata": {"resourceVersion": world.revision.to_string(), "continue": next},
    }))
}

/// Every event behind a version, for as long as the client listens.
fn watch(state: &Arc<State>, from: Option<String>) -> Response<Body> {
    let from: u64 = from.and_then(|version| version.parse().ok()).unwrap_or(0);
    let (state, news) = (Arc::clone(state), state.news.subscribe());
    let lines = stream::unfold((state, news, from), |(state, mut news, seen)| async move {
        loop {
            let next = {
                let world = state.world.lock().expect("no panic under it");
                let mut events = world.events.iter();
                events.find(|(revision, _)| *revision > seen).cloned()
            };
            if let Some((revision, line)) = next {
                return Some((line, (state, news, revision)));
            }
            news.changed().await.ok()?;
        }
    });
    events(lines.boxed())
}

fn gone() -> String {
    let object = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version", "reason": "Expired", "code": 410});
    format!("{}\n", json!({"type": "ERROR", "object": object}))
}

fn events(lines: stream::BoxStream<'static, String>) -> Response<Body> {
    let frames = lines.map(|line| Ok::<_, Infallible>(Frame::data(Bytes::from(line))));
    let body = StreamBody::new(frames).map_err(|never| match never {});
    Response::new(body.boxed_unsync())
}

fn flood() -> Response<Body> {
    let piece = Bytes::from(vec![b' '; 256 * 1024]);
    let frames = stream::repeat_with(move || Ok::<_, Infallible>(Frame::data(piece.clone())));
    let body = StreamBody::new(frames).map_err(|never| match never {});
    Response::new(body.boxed_unsync())
}

fn status(code: StatusCode, reason: &str, message: &str) -> Response<Body> {
    let mut response = json_response(&json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    }));
    *response.status_mut() = code;
    response
}

fn json_response(value: &Value) -> Response<Body> {
    Response::new(full(value.to_string()))
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.find_map(|(key, value)| (key == name).then_some(value))?;
    Some(value.to_owned())
}
