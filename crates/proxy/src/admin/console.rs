//! The console: pages made of what the routes of the API answer.
//!
//! A page asks those routes themselves, within the process, and shows their JSON. So it can show
//! nothing that a program cannot have, and needs no other way to the same data.

use std::{convert::Infallible, future::ready};

use admin_api::{
    CacheUse, Clients, Configuration, Events, Evictions, ExplainedName, Fills, History,
    ImageDetail, Overview, Platforms, Report, Upstreams,
};
use admin_console::{
    ASSETS, Answer, Asset, HEADERS, Language, Place, Reader,
    pages::{self, ImageList, ImageRow, PartRow, PartState, Question},
};
use axum::{
    Router,
    body::{self, Body},
    extract::{Request, State},
    http::{Extensions, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::get,
};
use image_inventory::{Completeness, Image, ImagePart, Listing, Moment};
use serde::de::DeserializeOwned;
use tower_service::Service;
use url::form_urlencoded;

/// The longest answer of a route that a page is made of.
const MAX_ANSWER: usize = 64 << 20;

/// Images on a page: so much is read and written before a browser has the first of it.
const IMAGES: &str = "100";

/// What goes next, as far as a page has it.
const NEXT: &str = "evictions?limit=25";

/// The platform whose readiness is asked for where none is named.
const COMMON_GOAL: &str = "linux/arm64";

/// The parameters that pages have.
const PARAMETERS: [&str; 7] = [
    "name",
    "filter",
    "missing",
    "after",
    "platform",
    "user_agent",
    "index",
];

/// The routes of the API, as pages ask them.
#[derive(Clone, Debug)]
struct Routes(Router);

/// Why there is no page.
#[derive(Debug)]
struct NoPage {
    status: StatusCode,
    reason: String,
}

/// One request for a page.
struct Visit {
    routes: Routes,
    extensions: Extensions,
    reader: Reader,
}

/// The pages and their files, made of the answers of `routes`.
pub(super) fn router(routes: Router) -> Router {
    let mut pages = Router::new();
    for place in Place::ALL {
        let page =
            move |State(routes): State<Routes>, request: Request| show(routes, place, request);
        pages = pages.route(&format!("/{}", place.path()), get(page));
    }
    for asset in ASSETS {
        let file = move || ready(send(&asset));
        pages = pages.route(&format!("/{}", asset.path), get(file));
    }
    pages.with_state(Routes(routes))
}

/// Whether a page of the console is there: they name images.
pub(super) fn is_page(path: &str) -> bool {
    let Some(path) = path.strip_prefix('/') else {
        return false;
    };
    Place::ALL.iter().any(|place| place.path() == path)
}

fn send(asset: &Asset) -> Response {
    let headers = [
        (header::CONTENT_TYPE, asset.kind),
        // The path is another one when the file is.
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, asset.text).into_response()
}

async fn show(routes: Routes, place: Place, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let visit = Visit {
        routes,
        reader: reader(place, &parts),
        extensions: parts.extensions,
    };
    let (status, answer) = match visit.page(place).await {
        Ok(answer) => (StatusCode::OK, answer),
        Err(refusal) => {
            let answer = pages::problem(&visit.reader, &refusal.reason);
            (refusal.status, answer)
        }
    };
    let language = [("content-language", answer.language)];
    (status, HEADERS, language, answer.html).into_response()
}

/// What the request says about how it wants its page.
fn reader(place: Place, parts: &Parts) -> Reader {
    let query = parts.uri.query().unwrap_or_default();
    let mut chosen = None;
    let mut parameters = Vec::new();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        if key == "lang" {
            chosen = Language::of_tag(&value);
        } else if PARAMETERS.contains(&&*key) {
            parameters.push((key.into_owned(), value.into_owned()));
        }
    }
    let accepted = parts.headers.get(header::ACCEPT_LANGUAGE);
    let accepted = accepted.and_then(|value| value.to_str().ok());
    let mut reader = Reader {
        chosen,
        accepted: Language::accepted(accepted.unwrap_or_default()),
        here: (place, parameters),
        twin: None,
    };
    reader.twin = Some(format!("_archway/v1/{}", twin(place, &reader)));
    reader
}

/// The route that a page is made of, with its parameters.
fn twin(place: Place, reader: &Reader) -> String {
    let with = |route: &str, pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        if query.is_empty() {
            route.to_owned()
        } else {
            format!("{route}?{query}")
        }
    };
    let given = |name| reader.parameter(name);
    match place {
        Place::Overview => "overview".to_owned(),
        Place::Downloads => "fills".to_owned(),
        Place::Images => {
            let names = ["filter", "missing", "after"];
            let mut pairs = Vec::from(names.map(|name| (name, given(name))));
            pairs.push(("limit", IMAGES));
            with("images", &pairs)
        }
        Place::Image => with("images", &[("name", given("name"))]),
        Place::Readiness => {
            let platform = match given("platform") {
                "" => COMMON_GOAL,
                platform => platform,
            };
            with("report", &[("need", platform), ("after", given("after"))])
        }
        Place::Upstreams => "upstreams".to_owned(),
        Place::Platforms => "platforms".to_owned(),
        Place::Cache => "cache".to_owned(),
        Place::Explain => explained(given),
        Place::Activity => "events".to_owned(),
        Place::About => "config".to_owned(),
    }
}

/// The route of an explanation: the client is told by the headers that it would send.
fn explained<'a>(given: impl Fn(&'static str) -> &'a str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("name", given("name"));
    for (parameter, header) in [
        ("user_agent", "User-Agent"),
        ("platform", "Archway-Platform"),
    ] {
        let value = given(parameter);
        if !value.is_empty() {
            query.append_pair("header", &format!("{header}: {value}"));
        }
    }
    if given("index") == "no" {
        query.append_pair(
            "header",
            "Accept: application/vnd.oci.image.manifest.v1+json",
        );
    }
    format!("explain?{}", query.finish())
}

impl Visit {
    async fn page(&self, place: Place) -> Result<Answer, NoPage> {
        let reader = &self.reader;
        Ok(match place {
            Place::Overview => {
                let overview: Overview = self.ask("overview").await?;
                let platforms: Platforms = self.ask("platforms").await?;
                let history: History = self.ask("history").await?;
                pages::overview(reader, &overview, &platforms, &history)
            }
            Place::Downloads => pages::downloads(reader, &self.twin::<Fills>().await?),
            Place::Images => pages::images(reader, &list(self.twin().await?)),
            Place::Image => self.image().await?,
            Place::Readiness => pages::readiness(reader, &self.twin::<Report>().await?),
            Place::Upstreams => pages::upstreams(reader, &self.twin::<Upstreams>().await?),
            Place::Platforms => {
                let platforms: Platforms = self.twin().await?;
                let clients: Clients = self.ask("clients").await?;
                pages::platforms(reader, &platforms, &clients)
            }
            Place::Cache => {
                let used: CacheUse = self.twin().await?;
                let evictions: Evictions = self.ask(NEXT).await?;
                pages::cache(reader, &used, &evictions)
            }
            Place::Explain => self.explain().await?,
            Place::Activity => pages::activity(reader, &self.twin::<Events>().await?),
            Place::About => pages::about(reader, &self.twin::<Configuration>().await?),
        })
    }

    async fn image(&self) -> Result<Answer, NoPage> {
        let name = self.reader.parameter("name");
        let path = form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>();
        let path = path
            .replace("%2F", "/")
            .replace("%3A", ":")
            .replace("%40", "@");
        let detail = self
            .ask::<ImageDetail<Image>>(&format!("images/{path}"))
            .await;
        let detail = match detail {
            Ok(detail) => Some(ImageDetail {
                image: row(&detail.image),
                manifests: detail.manifests,
                same_digest: detail.same_digest,
            }),
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND => None,
            Err(refusal) => return Err(refusal),
        };
        Ok(pages::image(&self.reader, name, detail.as_ref()))
    }

    async fn explain(&self) -> Result<Answer, NoPage> {
        let given = |name| self.reader.parameter(name).to_owned();
        let question = Question {
            name: given("name"),
            user_agent: given("user_agent"),
            platform: given("platform"),
            accepts_index: given("index") != "no",
        };
        let answer: Option<ExplainedName> = if question.name.is_empty() {
            None
        } else {
            Some(self.twin().await?)
        };
        Ok(pages::explain(&self.reader, &question, answer.as_ref()))
    }

    /// What the page's own route answers.
    async fn twin<T: DeserializeOwned>(&self) -> Result<T, NoPage> {
        self.ask(&twin(self.reader.here.0, &self.reader)).await
    }

    async fn ask<T: DeserializeOwned>(&self, target: &str) -> Result<T, NoPage> {
        let Routes(mut routes) = self.routes.clone();
        let broken = |reason: String| NoPage {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            reason,
        };
        let request = Request::get(format!("/_archway/v1/{target}")).body(Body::empty());
        let mut request = request.map_err(|error| NoPage {
            status: StatusCode::BAD_REQUEST,
            reason: error.to_string(),
        })?;
        *request.extensions_mut() = self.extensions.clone();
        let answer: Result<Response, Infallible> = routes.call(request).await;
        let Ok(answer) = answer;
        let status = answer.status();
        let text = body::to_bytes(answer.into_body(), MAX_ANSWER).await;
        let text = text.map_err(|error| broken(error.to_string()))?;
        if !status.is_success() {
            let reason = String::from_utf8_lossy(&text);
            let reason = match reason.trim() {
                "" => format!("/_archway/v1/{target}: {status}"),
                reason => reason.to_owned(),
            };
            return Err(NoPage { status, reason });
        }
        serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))
    }
}

fn list(listing: Listing) -> ImageList {
    ImageList {
        rows: listing.images.iter().map(row).collect(),
        next: listing.next,
        down: listing.down.into_iter().collect(),
    }
}

fn row(image: &Image) -> ImageRow {
    let text = |moment: Option<Moment>| moment.map(|moment| moment.to_string());
    let parts = image.parts.iter().filter(|part| part.is_image());
    ImageRow {
        name: image.name(),
        digest: image.digest.to_string(),
        tag_state: image.tag_state.map(|state| state.as_str().to_owned()),
        confirmed: text(image.confirmed),
        asked_again: text(image.asked_again),
        expires: text(image.expires),
        used: image.used.map(|moment| moment.time().into()),
        clients: image.clients,
        clients_or_more: image.clients_or_more,
        parts: parts.map(part).collect(),
    }
}

fn part(part: &ImagePart) -> PartRow {
    PartRow {
        platform: part.platform.as_ref().map(ToString::to_string),
        digest: part.digest.to_string(),
        state: match part.state {
            Completeness::Absent => PartState::Absent,
            Completeness::Partial => PartState::Part,
            Completeness::Cached => PartState::Whole,
        },
        stored: part.stored,
        size: part.size,
    }
}
