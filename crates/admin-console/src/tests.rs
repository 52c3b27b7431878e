//! Every page, in both languages: of an empty answer, and of one full of what enemies would write.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    ASSETS, Answer, CONTENT_SECURITY_POLICY, HEADERS, Language, Place, Reader,
    pages::{self, ImageList, ImageRow, PartRow, PartState, Question},
};

/// Markup, quotes, a control character and one that turns the direction of writing.
const HOSTILE: &str = "\"'><script>alert(1)</script>&\u{1b}[2J\u{202e}x";

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const TIME: &str = "2026-11-30T08:00:00Z";

fn reader(place: Place, chosen: Option<Language>) -> Reader {
    let parameters = ["name", "filter", "after", "missing"];
    let parameters = parameters.map(|name| (name.to_owned(), HOSTILE.to_owned()));
    Reader {
        chosen,
        accepted: Language::English,
        here: (place, parameters.into()),
        twin: Some("_archway/v1/images".to_owned()),
    }
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn disk() -> Value {
    json!({"bytes": 5, "blobs": 2, "max_bytes": 10, "pinned_bytes": 1, "evicted_bytes": 2,
        "unwanted_bytes": 1, "disk_free": 7, "disk_reserve": 1})
}

fn overview_answer(troubles: &Value) -> Value {
    json!({
        "version": HOSTILE, "started": TIME, "now": TIME, "sentence": "Well.", "troubles": troubles,
        "traffic": {"sent": 10, "received": 4, "saved": 6, "hit_ratio": 0.6, "requests": 3, "hits": 2,
            "upstream_calls": 1},
        "disk": disk(),
        "fills": {"running": 1, "waiting": 0, "followers": 3, "rate": 9, "max": 64},
        "errors_last_hour": 0, "platform_missing_last_hour": 0, "upstreams": 1,
        "upstreams_in_trouble": [], "pulls_left": {"upstream": HOSTILE, "left": 4},
    })
}

fn image_row() -> ImageRow {
    let part = |platform: &str, state| PartRow {
        platform: Some(platform.to_owned()),
        digest: DIGEST.to_owned(),
        state,
        stored: 5,
        size: Some(10),
    };
    ImageRow {
        name: HOSTILE.to_owned(),
        digest: DIGEST.to_owned(),
        tag_state: Some(HOSTILE.to_owned()),
        parts: vec![
            part("linux/amd64", PartState::Whole),
            part("linux/arm64", PartState::Part),
            part(HOSTILE, PartState::Absent),
        ],
        ..ImageRow::default()
    }
}

fn shares() -> Value {
    json!([{"name": HOSTILE, "bytes": 5, "blobs": 1}, {"name": "layer", "bytes": 5, "blobs": 1}])
}

/// Every page of an answer without anything in it.
fn empty(chosen: Option<Language>) -> Vec<Answer> {
    let at = |place| reader(place, chosen);
    let history = json!({"end": TIME, "interval": 60, "series": []});
    let configuration = json!({"version": "1", "toml": ""});
    vec![
        pages::overview(
            &at(Place::Overview),
            &read(overview_answer(&json!([]))),
            &read(json!({"wanted": [], "platforms": [], "learned": []})),
            &read(history),
        ),
        pages::downloads(&at(Place::Downloads), &admin_api::Fills::default()),
        pages::images(&at(Place::Images), &ImageList::default()),
        pages::image(&at(Place::Image), HOSTILE, None),
        pages::readiness(&at(Place::Readiness), &admin_api::Report::default()),
        pages::upstreams(&at(Place::Upstreams), &admin_api::Upstreams::default()),
        pages::platforms(
            &at(Place::Platforms),
            &admin_api::Platforms::default(),
            &admin_api::Clients::default(),
        ),
        pages::cache(
            &at(Place::Cache),
            &admin_api::CacheUse::default(),
            &admin_api::Evictions::default(),
        ),
        pages::explain(&at(Place::Explain), &Question::default(), None),
        pages::activity(&at(Place::Activity), &admin_api::Events::default()),
        pages::about(&at(Place::About), &read(configuration)),
        pages::problem(&at(Place::About), HOSTILE),
    ]
}

/// Every page of an answer with everything in it.
fn full(chosen: Option<Language>) -> Vec<Answer> {
    let at = |place| reader(place, chosen);
    vec![
        overview_page(&at(Place::Overview)),
        pages::downloads(&at(Place::Downloads), &read(fills())),
        pages::images(
            &at(Place::Images),
            &ImageList {
                rows: vec![image_row()],
                next: Some(HOSTILE.to_owned()),
                down: vec![(HOSTILE.to_owned(), HOSTILE.to_owned())],
            },
        ),
        image_page(&at(Place::Image)),
        pages::readiness(
            &at(Place::Readiness),
            &read(json!({
                "need": [HOSTILE], "checked": 2, "unknown": [HOSTILE], "next": HOSTILE,
                "lacking": [{"name": HOSTILE, "lacks": [HOSTILE], "has": [HOSTILE]}],
            })),
        ),
        pages::upstreams(&at(Place::Upstreams), &read(upstreams())),
        pages::platforms(&at(Place::Platforms), &read(platforms()), &read(clients())),
        pages::cache(
            &at(Place::Cache),
            &read(json!({
                "disk": disk(), "classes": shares(), "kinds": shares(),
                "platforms": shares(), "upstreams": shares(), "repositories": shares(),
                "counted": TIME,
            })),
            &read(json!({"cache": disk(), "next": [{
                "digest": DIGEST, "size": 5, "used": TIME, "class": "unwanted", "why": HOSTILE,
            }]})),
        ),
        explain_page(&at(Place::Explain)),
        pages::activity(
            &at(Place::Activity),
            &read(json!({"last": 1, "events": [{
                "number": 1, "time": TIME, "level": "warn", "part": HOSTILE, "message": HOSTILE,
                "fields": {HOSTILE: HOSTILE},
            }]})),
        ),
        pages::about(
            &at(Place::About),
            &read(json!({"version": HOSTILE, "toml": HOSTILE})),
        ),
    ]
}

fn overview_page(reader: &Reader) -> Answer {
    let trouble = json!([{"kind": "upstream_down", "of": HOSTILE, "since": TIME, "until": TIME,
        "count": 2, "cause": HOSTILE, "sentence": HOSTILE}]);
    let history = json!({"end": TIME, "interval": 60, "series": [
        {"name": "sent", "unit": "bytes", "per_interval": true, "points": [1, 2, 3]},
        {"name": "connections", "unit": "count", "per_interval": false, "points": [1, 2, 3]},
    ]});
    pages::overview(
        reader,
        &read(overview_answer(&trouble)),
        &read(platforms()),
        &read(history),
    )
}

fn image_page(reader: &Reader) -> Answer {
    let manifests = json!([{
        "digest": DIGEST, "media_type": HOSTILE, "size": 5, "platform": HOSTILE, "used": TIME,
        "annotations": {HOSTILE: HOSTILE},
        "links": [{"role": "layer", "digest": DIGEST, "media_type": HOSTILE, "size": 5,
            "stored": true, "class": "used_again", "used": TIME, "platform": HOSTILE}],
    }]);
    let detail = admin_api::ImageDetail {
        image: image_row(),
        manifests: read(manifests),
        same_digest: vec![HOSTILE.to_owned()],
    };
    pages::image(reader, HOSTILE, Some(&detail))
}

fn explain_page(reader: &Reader) -> Answer {
    let question = Question {
        name: HOSTILE.to_owned(),
        user_agent: HOSTILE.to_owned(),
        platform: HOSTILE.to_owned(),
        accepts_index: false,
    };
    let said = json!({"source": HOSTILE, "platform": HOSTILE, "explicit": true});
    let answer = json!({
        "name": HOSTILE, "path": HOSTILE, "status": 404, "problem": HOSTILE,
        "answer": {"digest": DIGEST, "media_type": HOSTILE, "size": 5},
        "explanation": {
            "upstream": HOSTILE, "repository": HOSTILE, "reference": HOSTILE, "said": [said],
            "followed": said, "mode": HOSTILE, "accepts_index": true, "outcome": "hit",
            "answer": "child", "why": HOSTILE, "chosen": DIGEST, "more": 3,
            "tag": {"state": HOSTILE, "confirmed": TIME},
            "rule": {"key": "alias", "sources": [HOSTILE]},
            "entries": [{"digest": DIGEST, "platform": HOSTILE, "verdict": HOSTILE}],
        },
    });
    pages::explain(reader, &question, Some(&read(answer)))
}

fn fills() -> Value {
    let of = json!({"digest": DIGEST, "upstream": HOSTILE, "repository": HOSTILE, "image": HOSTILE,
        "platform": HOSTILE, "origin": "prefetch"});
    let with = |more: Value| {
        let mut fill = of.clone();
        let fields = more.as_object().unwrap().clone();
        fill.as_object_mut().unwrap().extend(fields);
        fill
    };
    json!({
        "running": [
            with(json!({"started": TIME, "size": 10, "written": 5, "resumed": 2, "rate": 1,
                "from": "replica", "connections": 1, "followers": 3, "waits": "slot"})),
            with(json!({"started": TIME, "written": 5, "resumed": 0, "rate": 1,
                "from": "upstream", "connections": 1, "followers": 3})),
        ],
        "ended": [with(json!({"started": TIME, "ended": TIME, "took_ms": 1500, "size": 10,
            "written": 10, "resumed": 0, "end": "failed", "cause": HOSTILE}))],
        "max": 64,
    })
}

fn upstreams() -> Value {
    json!({"offline": [HOSTILE], "upstreams": [{
        "host": HOSTILE, "pattern": HOSTILE, "waiting": 1, "pulls_left": 5, "pulls_limit": 9,
        "received": 5, "token_expires": TIME, "rates": [{"calls": HOSTILE, "rate": HOSTILE}],
        "budget": [{"calls": HOSTILE, "left": 3}], "answers": {HOSTILE: 1, "ok": 2},
        "endpoints": [{"url": HOSTILE, "state": "throttling", "since": TIME, "until": TIME,
            "cause": HOSTILE, "held": [{"calls": "blobs", "until": TIME}],
            "credential": HOSTILE}],
    }]})
}

fn platforms() -> Value {
    json!({"wanted": [HOSTILE], "default": HOSTILE,
        "platforms": [{"platform": HOSTILE, "requests": 1, "missing": 1, "substitutions": 1,
            "cached": 1, "partial": 1, "nodes": 1}],
        "learned": [{"place": HOSTILE, "platforms": [{"platform": HOSTILE, "weight": 1.5}]}]})
}

fn clients() -> Value {
    json!({"connections": 1, "max_connections": 9, "nodes": 1, "silent_nodes": 1,
        "families": [{"family": HOSTILE, "requests": 1}],
        "hints": [{"source": HOSTILE, "platform": HOSTILE, "requests": 1}],
        "networks": [{"network": HOSTILE, "platform": HOSTILE}]})
}

fn all() -> impl Iterator<Item = Answer> {
    let chosen = [None, Some(Language::English), Some(Language::Chinese)];
    chosen
        .into_iter()
        .flat_map(|chosen| empty(chosen).into_iter().chain(full(chosen)))
}

#[test]
fn every_page_has_one_title_and_names_its_language() {
    for page in all() {
        assert_eq!(page.html.matches("<h1>").count(), 1);
        assert!(
            page.html
                .contains(&format!("<html lang=\"{}\">", page.language))
        );
        assert!(page.html.trim_end().ends_with("</html>"));
    }
}

#[test]
fn what_a_stranger_chose_is_text() {
    for page in all() {
        for markup in ["<script>alert", "\u{1b}", "\u{202e}"] {
            assert!(!page.html.contains(markup), "{markup:?} in\n{}", page.html);
        }
        // One script, by its address.
        assert_eq!(page.html.matches("<script").count(), 1);
        assert_eq!(page.html.matches("</script>").count(), 1);
    }
}

#[test]
fn links_are_relative() {
    for page in all() {
        for attribute in ["href=\"", "src=\"", "action=\""] {
            for link in page.html.split(attribute).skip(1) {
                let link = link.split('"').next().unwrap();
                let path = link.split('?').next().unwrap();
                assert!(!path.starts_with('/') && !path.contains(':'), "{link}");
            }
        }
    }
}

#[test]
fn nothing_is_inline() {
    for page in all() {
        assert!(!page.html.contains("<style") && !page.html.contains(" style="));
        assert!(!page.html.contains(" onclick") && !page.html.contains("javascript:"));
    }
}

#[test]
fn every_table_has_a_caption_and_scopes_and_ids_are_unique() {
    for page in all() {
        let html = &page.html;
        assert_eq!(
            html.matches("<table>").count(),
            html.matches("<caption>").count()
        );
        let heads = html.matches("<th ").count();
        assert_eq!(heads, html.matches("<th scope=").count());
        let mut ids: Vec<_> = html
            .split(" id=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}

#[test]
fn chinese_pages_are_not_english_ones() {
    let english = empty(Some(Language::English));
    for (chinese, english) in empty(Some(Language::Chinese)).iter().zip(&english) {
        assert_ne!(chinese.html, english.html);
        assert!(!chinese.html.contains(">Overview<"));
    }
}

#[test]
fn pieces_of_a_cell_stand_apart() {
    let page = pages::downloads(
        &reader(Place::Downloads, Some(Language::English)),
        &read(fills()),
    );
    for glued in ["</a><", "</time><span", "</span><time", "</progress><"] {
        let cells = page.html.split("<tbody>").nth(1).unwrap();
        assert!(!cells.contains(glued), "{glued} in\n{cells}");
    }
    assert!(page.html.contains("5 B of 10 B"), "{}", page.html);
}

#[test]
fn pages_name_the_files_that_there_are() {
    let page = pages::problem(&reader(Place::About, None), "");
    for asset in ASSETS {
        assert!(page.html.contains(asset.path), "{}", asset.path);
        assert!(!asset.text.contains("http://") || asset.kind.starts_with("image/svg"));
    }
    assert!(HEADERS.contains(&("content-security-policy", CONTENT_SECURITY_POLICY)));
}
