//! A real HTTP server, with the ways in which one can be unwell.

use std::net::{SocketAddr, TcpListener};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web, web::Bytes};
use futures::{StreamExt, stream};

use super::*;

/// Long enough for an answer over loopback on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// For those who never answer.
const SHORT: Duration = Duration::from_millis(100);

type Part = Result<Bytes, std::convert::Infallible>;

async fn hang() -> HttpResponse {
    std::future::pending().await
}

async fn half() -> HttpResponse {
    let part: Part = Ok(Bytes::from_static(b"{\"throughput\":"));
    HttpResponse::Ok().streaming(stream::iter([part]).chain(stream::pending()))
}

async fn endless() -> HttpResponse {
    HttpResponse::Ok().streaming(stream::repeat_with(|| Part::Ok(Bytes::from_static(&[b' '; 4096]))))
}

async fn elsewhere() -> HttpResponse {
    HttpResponse::Found().insert_header(("location", "/ok")).finish()
}

/// Says who asks, and how.
async fn who(request: HttpRequest) -> String {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("none");
    format!("{} {}", header("user-agent"), header("connection"))
}

fn serve() -> (SocketAddr, ServerHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = HttpServer::new(|| {
        App::new()
            .route("/ok", web::get().to(|| async { r#"{"throughput": 3.5, "cache_tokens_left": 64}"# }))
            .route("/empty", web::get().to(HttpResponse::NoContent))
            .route("/error", web::get().to(HttpResponse::InternalServerError))
            .route("/garbage", web::get().to(|| async { "{\"throughput\": oops}" }))
            .route("/hang", web::get().to(hang))
            .route("/half", web::get().to(half))
            .route("/endless", web::get().to(endless))
            .route("/elsewhere", web::get().to(elsewhere))
            .route("/who", web::get().to(who))
    });
    let server = server.workers(1).disable_signals().shutdown_timeout(0).listen(listener).unwrap().run();
    let handle = server.handle();
    actix_rt::spawn(server);
    (address, handle)
}

async fn ask(address: SocketAddr, path: &str, patience: Duration) -> Result<Statement, CheckError> {
    let url = format!("http://{address}{path}").parse().unwrap();
    let check = HttpCheck::new(url, patience);
    timeout(patience, check.check()).await.unwrap_or(Err(CheckError::Deadline(patience)))
}

#[actix_rt::test]
async fn only_2xx_in_time_is_well() {
    let (address, server) = serve();
    let ok = ask(address, "/ok", PATIENCE).await.unwrap();
    let (change, refused) = figures::read(&ok);
    assert_eq!((change.cache_tokens_left, refused.len()), (Some(64), 0));
    assert_eq!(ask(address, "/empty", PATIENCE).await, Ok(Statement::Whole(Vec::new())));
    assert_eq!(ask(address, "/error", PATIENCE).await, Err(CheckError::Status(500)));
    assert_eq!(ask(address, "/nowhere", PATIENCE).await, Err(CheckError::Status(404)));
    assert_eq!(ask(address, "/elsewhere", PATIENCE).await, Err(CheckError::Status(302)));
    assert_eq!(ask(address, "/endless", PATIENCE).await, Ok(Statement::TooLarge));
    let garbage = ask(address, "/garbage", PATIENCE).await.unwrap();
    assert_eq!(figures::read(&garbage).1.len(), 1);
    for path in ["/hang", "/half"] {
        // Whichever of the two clocks is first.
        let error = ask(address, path, SHORT).await.unwrap_err();
        assert!(matches!(error, CheckError::Deadline(_) | CheckError::Unreachable(_)), "{path}: {error}");
    }
    let Ok(Statement::Whole(who)) = ask(address, "/who", PATIENCE).await else { panic!("no answer") };
    let expected = concat!("petald/", env!("CARGO_PKG_VERSION"), " close");
    assert_eq!(String::from_utf8(who).unwrap(), expected);

    server.stop(false).await;
    assert!(matches!(ask(address, "/ok", PATIENCE).await, Err(CheckError::Unreachable(_))));
}

#[actix_rt::test]
async fn what_speaks_no_http_is_not_well() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers: [&[u8]; 4] =
        [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", &[b'x'; 1 << 18]];
    actix_rt::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 16];
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut request).await.unwrap();
            // Whoever has heard enough may hang up.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
        }
    });
    for answer in answers {
        let error = ask(address, "/", PATIENCE).await.unwrap_err();
        assert!(matches!(error, CheckError::Unreachable(_)), "{} bytes: {error}", answer.len());
    }
}

#[actix_rt::test]
async fn the_actor_follows_a_real_server_there_and_back() {
    let (address, server) = serve();
    let settings = Settings {
        source: HealthSource::Url(format!("http://{address}/ok").parse().unwrap()),
        interval: Duration::from_millis(20),
        timeout: Duration::from_millis(19),
        ..settings()
    };
    let store = store(Vec::new());
    Backend::new(settings, store.clone(), Arc::new(SystemClock), Birth::detached().0).start();
    let mut state = snapshots(&store).await;
    let is = |wanted: ServerState| {
        move |now: &Option<Arc<server_info::Snapshot>>| now.as_ref().unwrap().offer.server.state == wanted
    };
    timeout(PATIENCE, state.wait_for(is(ServerState::Online))).await.unwrap().unwrap();
    assert_eq!(now(&state).2, Some(64));
    server.stop(false).await;
    timeout(PATIENCE, state.wait_for(is(ServerState::Joining))).await.unwrap().unwrap();
}
