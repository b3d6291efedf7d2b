//! Who is not let in.

use super::*;

fn token() -> Token {
    Token::new("a token of sixteen".replace(' ', "-").as_str()).unwrap()
}

#[actix_rt::test]
async fn over_tcp_the_token_opens_everything_and_nothing_is_open_without_it() {
    let node = start_with(any_port(), true, &[("speaker", json!(1))], Some(token())).await;
    let bearer = format!("authorization: {}\r\n", token().authorization());
    for (method, path) in [
        ("GET", "/livez"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
        ("PATCH", "/api/v1/server-info"),
        ("POST", "/debug/crash/speaker"),
    ] {
        for wrong in ["", "authorization: Bearer wrong\r\n", "authorization: Basic eDp5\r\n"] {
            let (status, head, body) = node.raw(method, path, wrong, "").await;
            assert_eq!(status, 401, "{method} {path}: {body}");
            assert!(head.contains("www-authenticate: Bearer"), "{head}");
            let said: Value = serde_json::from_str(&body).unwrap();
            assert!(said["error"].is_string(), "{said}");
        }
    }
    assert_eq!(node.tree.status().await.actors[0].panics, 0);
    assert_eq!(node.send("GET", "/livez", &bearer, "").await.0, 200);
    assert_eq!(node.send("GET", "/nowhere", &bearer, "").await.0, 404);
    assert_eq!(node.send("POST", "/debug/crash/speaker", &bearer, "").await.0, 202);
    node.end().await;
}

#[actix_rt::test]
async fn a_unix_socket_needs_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let node = start_with(Listen::Unix(socket), false, &[], Some(token())).await;
    assert_eq!(node.ask("GET", "/livez").await.0, 200);
    node.end().await;
}

#[actix_rt::test]
async fn a_page_in_a_browser_may_read_and_change_nothing() {
    let node = start(any_port(), true, &[("speaker", json!(1))]).await;
    let origin = "origin: http://evil.example\r\n";
    for (method, path) in
        [("POST", "/debug/crash/speaker"), ("PUT", "/api/v1/log-level"), ("POST", "/api/v1/announce")]
    {
        assert_eq!(node.send(method, path, origin, "{}").await.0, 403, "{method} {path}");
    }
    assert_eq!(node.tree.status().await.actors[0].panics, 0);
    assert_eq!(node.send("GET", "/livez", origin, "").await.0, 200);
    assert!(node.token.is_none());
    node.end().await;
}

#[actix_rt::test]
async fn a_body_that_never_comes_is_not_waited_for() {
    let node = start(any_port(), false, &[]).await;
    let Bound::Tcp(address) = node.bound() else { panic!() };
    let request = "PATCH /api/v1/server-info HTTP/1.1\r\nhost: petald\r\nconnection: close\r\ncontent-length: 10\r\n\r\n{";
    let answer = exchange(TcpStream::connect(address).await.unwrap(), request).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    node.end().await;
}
