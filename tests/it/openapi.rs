//! The description of the admin API, docs/reference/openapi.json, is true of a running Archway.

use integration_tests::images;
use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use integration_tests::schema;
use reqwest::Url;
use serde_json::Value;

fn description() -> Value {
    let path = schema::folder().join("openapi.json");
    let text = std::fs::read_to_string(&path).expect("the description");
    serde_json::from_str(&text).expect("the description is JSON")
}

/// The path with the examples of its parameters: all of them, or those alone that it needs.
fn target(path: &str, operation: &Value, all: bool) -> String {
    let mut target = path.to_owned();
    let mut query = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().expect("a name");
        let is_needed = parameter["required"] == true;
        let example = &parameter["example"];
        assert!(!is_needed || !example.is_null(), "{path}: {name}");
        if example.is_null() || !(is_needed || all) {
            continue;
        }
        let example = example.get(0).unwrap_or(example);
        let text = example.as_str().map_or(example.to_string(), str::to_owned);
        if parameter["in"] == "path" {
            target = target.replace(&format!("{{{name}}}"), &text);
        } else {
            query.push((name, text));
        }
    }
    if query.is_empty() {
        return target;
    }
    let url = Url::parse_with_params(&format!("http://admin{target}"), query).expect("a target");
    format!("{target}?{}", url.query().unwrap_or_default())
}

async fn check(archway: &Archway, target: &str, operation: &Value) {
    let admin = archway.admin();
    let download = admin.open(http::Method::GET, target).await;
    let status = download.status().as_u16();
    let response = &operation["responses"][status.to_string()];
    assert!(response.is_object(), "{target}: {status}");
    let kind = download.headers()["content-type"].to_str().expect("text");
    let kind = kind.split(';').next().expect("a type").to_owned();
    let described = &response["content"][&kind];
    assert!(described.is_object(), "{target}: {kind}");
    if kind != "application/json" {
        return;
    }
    let value = download.whole().await.json();
    if let Some(name) = described["schema"]["$ref"].as_str() {
        let name = name.strip_suffix(".schema.json").expect("a schema's file");
        schema::check(name, &value);
    } else {
        let valid = schema::valid(&described["schema"], &value, target);
        assert_eq!(valid, Ok(()), "{value:#}");
    }
}

#[tokio::test]
async fn every_route_answers_as_its_description_says() {
    let registry = FakeRegistry::with("team/app", "v1", &images::attested("app")).await;
    let archway = Setup::in_front_of(&registry).start().await;
    archway.client().pull("team/app", "v1").await;
    let description = description();
    for (path, item) in description["paths"].as_object().expect("paths") {
        let operation = &item["get"];
        for all in [false, true] {
            check(&archway, &target(path, operation, all), operation).await;
        }
        if operation["responses"]["400"].is_object() {
            let wrong = format!("{}&color=red", target(path, operation, false));
            let wrong = wrong.replacen(['?', '&'], "?", 1);
            let answer = archway.admin().get(&wrong).await;
            answer.expect(400);
        }
    }
}
