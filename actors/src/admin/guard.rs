//! Who may ask at all: looked at before any route.

use actix_web::{
    Error, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, StatusCode, header},
    middleware::Next,
    web,
};
use serde_json::json;

use super::{Listen, Settings, routes::is_file};

/// Lets a request through that comes over a Unix socket, whose mode is its lock, or with the token, if there is one; and
/// that is not sent by a page in the operator's browser, which could otherwise change this node from anywhere.
pub(super) async fn guard<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody + use<B>>, Error> {
    match refusal(&request) {
        Some(refused) => Ok(request.into_response(refused).map_into_right_body()),
        None => Ok(next.call(request).await?.map_into_left_body()),
    }
}

fn refusal(request: &ServiceRequest) -> Option<HttpResponse> {
    let settings = request.app_data::<web::Data<Settings>>()?;
    let token = settings.token.as_ref().filter(|_| matches!(settings.listen, Listen::Tcp(_)));
    let open = request.method() == Method::GET && is_file(request.path());
    if let Some(token) = token.filter(|_| !open) {
        let authorization = request.headers().get(header::AUTHORIZATION);
        if !authorization.is_some_and(|value| token.opens(value.as_bytes())) {
            let mut answer = HttpResponse::build(StatusCode::UNAUTHORIZED);
            answer.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            return Some(
                answer.json(json!({ "error": "a bearer token is needed, that of admin.token_file" })),
            );
        }
    }
    if request.method() != Method::GET && request.headers().contains_key(header::ORIGIN) {
        let error = "a page in a browser may change nothing here";
        return Some(HttpResponse::build(StatusCode::FORBIDDEN).json(json!({ "error": error })));
    }
    None
}
