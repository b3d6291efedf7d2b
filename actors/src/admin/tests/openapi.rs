//! The description and the routes are the same thing said twice: here they are held together.

use std::collections::BTreeSet;

use actix_web::http::Method;

use super::*;
use crate::admin::routes;

/// Methods that a route could have.
const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

fn described() -> Value {
    serde_json::from_str(routes::OPENAPI).unwrap()
}

/// The thing itself where there is a reference to it.
fn resolve<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(&reference[1..]).unwrap_or_else(|| panic!("no {reference}")),
        None => value,
    }
}

#[test]
fn every_route_is_described_and_no_other() {
    let document = described();
    let mut operations = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(operation["summary"].as_str().unwrap().ends_with('.'), "{method} {path}");
            operations.insert((path.clone(), method.to_uppercase()));
        }
    }
    let routes = routes::table();
    let served: BTreeSet<_> =
        routes.iter().map(|(path, method, _)| ((*path).to_owned(), method.to_string())).collect();
    assert_eq!((&operations, operations.len()), (&served, routes.len()));
}

#[actix_rt::test]
async fn answers_are_as_described() {
    let document = described();
    let (network, server) = (json!({ "listening": [] }), json!({ "offered": false }));
    let node = start(any_port(), true, &[("network", network), ("server_info", server)]).await;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let asked = path.replace("{actor}", "network").replace("{peer_id}", &node.peer_id.to_string());
        for method in METHODS {
            let operation = &methods[method.as_str().to_lowercase()];
            let (status, head, body) = node.raw(method.as_str(), &asked, "", "{}").await;
            if operation.is_null() {
                assert_eq!(status, 405, "{method} {path} is served");
                continue;
            }
            let response = &operation["responses"][status.to_string()];
            let (media, content) = response["content"]
                .as_object()
                .and_then(|content| content.iter().next())
                .unwrap_or_else(|| panic!("{method} {path} answers {status}: {body}"));
            assert!(head.contains(&format!("content-type: {media}")), "{method} {path}: {head}");
            if media != "application/json" {
                continue;
            }
            let schema = resolve(&document, &content["schema"]);
            let answer: Value = serde_json::from_str(&body).unwrap();
            let fields: BTreeSet<&String> = answer.as_object().unwrap().keys().collect();
            let properties: BTreeSet<&String> = schema["properties"].as_object().unwrap().keys().collect();
            let unknown: Vec<_> = fields.difference(&properties).collect();
            assert!(unknown.is_empty(), "{method} {path} answers {unknown:?}");
            for required in schema["required"].as_array().into_iter().flatten() {
                assert!(fields.iter().any(|field| *field == required), "{method} {path} lacks {required}");
            }
        }
    }
    let (_, told) = node.ask("GET", "/openapi.json").await;
    assert_eq!(told["info"]["version"], "1.2.3");
    node.end().await;
}

/// Of what is told in long objects, which the route itself only hands on.
#[actix_rt::test]
async fn what_is_served_is_described_field_by_field() {
    let store = crate::server_info::ServerInfoStore::new(
        crate::server_info::Settings::volatile(Some(crate::server_info::tests::offer())),
        Birth::detached().0,
    )
    .start();
    let told = store.send(Probe).await.unwrap().0;
    let document = described();
    let properties = document["components"]["schemas"]["ServerInfo"]["properties"].as_object().unwrap();
    let described: BTreeSet<_> = properties.keys().collect();
    assert_eq!(told.as_object().unwrap().keys().collect::<BTreeSet<_>>(), described);
}
