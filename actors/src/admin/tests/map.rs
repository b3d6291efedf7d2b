//! The page, what it asks for, and the history.

use super::*;

#[actix_rt::test]
async fn the_page_is_whole_and_lets_nothing_else_in() {
    let node = start(any_port(), false, &[]).await;
    let (status, head, page) = node.raw("GET", "/", "", "").await;
    assert_eq!(status, 200);
    for line in [
        "content-type: text/html; charset=utf-8",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';",
        "frame-ancestors 'none'",
    ] {
        assert!(head.contains(line), "{line} is not in {head}");
    }
    assert!(!head.contains("unsafe"), "{head}");
    // Whatever it names is there, and none of it is elsewhere.
    let named: Vec<&str> = page.split('"').filter(|word| word.starts_with("/page/")).collect();
    assert!(named.len() >= 7);
    for file in named {
        assert_eq!(node.raw("GET", file, "", "").await.0, 200, "{file}");
    }
    for file in
        ["/", "/page/map.js", "/page/models.js", "/page/details.js", "/page/marks.js", "/page/style.css"]
    {
        let (_, _, text) = node.raw("GET", file, "", "").await;
        let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"), "{file}");
        for way in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=", "onclick="]
        {
            assert!(!text.contains(way), "{way} in {file}");
        }
    }
    node.end().await;
}

#[actix_rt::test]
async fn the_page_opens_without_the_token_and_nothing_else_does() {
    let token = Token::new("0123456789abcdef").unwrap();
    let node = start_with(any_port(), false, &[], Some(token)).await;
    assert_eq!(node.raw("GET", "/", "", "").await.0, 200);
    assert_eq!(node.raw("GET", "/page/map.js", "", "").await.0, 200);
    for path in ["/api/v1/map", "/api/v1/history", "/page/", "/page/../api/v1/map", "//api/v1/map"] {
        assert_eq!(node.raw("GET", path, "", "").await.0, 401, "{path}");
    }
    assert_eq!(node.raw("POST", "/", "", "").await.0, 401);
    let open = "authorization: Bearer 0123456789abcdef\r\n";
    assert_eq!(node.raw("GET", "/api/v1/map", open, "").await.0, 200);
    node.end().await;
}

#[actix_rt::test]
async fn a_crawl_is_told_once_to_whoever_has_it() {
    let node = start(any_port(), false, &[]).await;
    let (status, head, body) = node.raw("GET", "/api/v1/map", "", "").await;
    assert_eq!(status, 200);
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag").trim();
    let map: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(map["peer_id"], node.peer_id.to_string());
    let crawl = crate::monitor::tests::small();
    assert_eq!(map["swarm"], serde_json::to_value(&crawl).unwrap());
    assert!(map["age_seconds"].as_f64().unwrap() > 1e6);
    let (status, _, body) = node.raw("GET", "/api/v1/map", &format!("if-none-match: {tag}\r\n"), "").await;
    assert_eq!((status, body.as_str()), (304, ""));
    assert_eq!(node.raw("GET", "/api/v1/map", "if-none-match: \"other\"\r\n", "").await.0, 200);
    node.end().await;
}

#[actix_rt::test]
async fn a_history_is_told_as_json_and_as_csv() {
    let node = start(any_port(), false, &[]).await;
    let peer = node.peer_id.to_string();
    let (status, page) = node.ask("GET", "/api/v1/history?model=m&limit=5").await;
    assert_eq!((status, &page["servers"][0]["peer_id"], &page["next"]), (200, &json!(peer), &Value::Null));
    assert_eq!(node.ask("GET", "/api/v1/history?model=other").await.1["servers"], json!([]));
    let (status, head, csv) = node.raw("GET", "/api/v1/history?format=csv", "", "").await;
    assert!(status == 200 && head.contains("content-type: text/csv"), "{head}");
    assert!(csv.lines().nth(1).unwrap().starts_with(&format!("{peer},\"a node\",\"m\",online,1000000000,")));
    let (status, account) = node.ask("GET", &format!("/api/v1/history/{peer}")).await;
    let history = json!([{ "at": 1_000_000_000, "state": "online" }]);
    assert_eq!((status, &account["history"]), (200, &history));
    let (status, _, csv) = node.raw("GET", &format!("/api/v1/history/{peer}?format=csv"), "", "").await;
    assert_eq!((status, csv), (200, format!("peer_id,at,state\r\n{peer},1000000000,online\r\n")));
    for (path, refused) in [
        ("/api/v1/history/nobody", 400),
        (&format!("/api/v1/history/{}", PeerId::random()), 404),
        ("/api/v1/history?limit=many", 400),
        ("/api/v1/history?after=nobody", 400),
        ("/api/v1/history?format=xml", 400),
        ("/api/v1/history?sort=name", 400),
    ] {
        let (status, answer) = node.ask("GET", path).await;
        assert!(status == refused && answer["error"].is_string(), "{path}: {status} {answer}");
    }
    node.end().await;
}
