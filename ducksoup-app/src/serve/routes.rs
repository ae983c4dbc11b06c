// SPDX-License-Identifier: MPL-2.0

//! Which address is what. Filters only: what happens there stands in the module of its subject.

use super::assets;
use super::auth::{Access, access};
use super::limits::MAX_FRAME;
use super::{Door, checks, socket, stats};
use crate::config::read_config_file;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use warp::filters::BoxedFilter;
use warp::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use warp::http::{Response, StatusCode};
use warp::hyper::body::Bytes;
use warp::path::{FullPath, Tail};
use warp::ws::Ws;
use warp::{Filter, Rejection, Reply};

/// Pages under `/test/` with which participants check their devices: open to all.
const OPEN_PAGES: [&str; 2] = ["direct", "audio_direct"];

type Answer = Response<Bytes>;
type Refusal = (StatusCode, &'static str);

/// All of them, under the configured prefix.
pub(crate) fn routes(door: &Arc<Door>) -> BoxedFilter<(warp::reply::Response,)> {
    let shared = Arc::clone(door);
    let with_door = warp::any().map(move || Arc::clone(&shared)).boxed();
    let pages = get().and(home(&with_door).or(assets_of(&with_door)).unify()).boxed();
    let pages =
        pages.or(get().and(config(&with_door).or(test(&with_door)).unify())).unify().boxed();
    let pages = pages.or(get().and(statistics(&with_door))).unify().map(with_headers).boxed();
    let pages = pages.map(Reply::into_response).boxed();
    let checks = checks_of(&with_door).map(with_headers).map(Reply::into_response).boxed();
    let all = web_socket(&with_door).or(checks).unify().or(pages).unify();
    prefix(&door.config.web_prefix)
        .and(all)
        .or(not_found())
        .unify()
        .recover(refused)
        .unify()
        .boxed()
}

fn get() -> BoxedFilter<()> {
    warp::get().or(warp::head()).unify().boxed()
}

/// The segments of the prefix.
fn prefix(path: &str) -> BoxedFilter<()> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .fold(warp::any().boxed(), |filter, segment| {
            filter.and(warp::path(segment.to_owned())).boxed()
        })
}

fn authorization() -> BoxedFilter<(Option<String>,)> {
    header("authorization")
}

/// A header; one that is no text is as good as none.
fn header(name: &'static str) -> BoxedFilter<(Option<String>,)> {
    warp::header::optional(name).or(warp::any().map(|| None)).unify().boxed()
}

fn web_socket(with_door: &BoxedFilter<(Arc<Door>,)>) -> BoxedFilter<(warp::reply::Response,)> {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::path("ws")
        .and(warp::path::end())
        .and(warp::ws())
        .and(query)
        .and(warp::header::optional("origin"))
        .and(authorization())
        .and(with_door.clone())
        .map(|ws: Ws, query: String, origin: Option<String>, login: Option<String>, door| {
            let wants_stats = query.split('&').any(|pair| pair == "type=stats");
            let origin = origin.unwrap_or_default();
            if wants_stats {
                upgrade_to_stats(ws, &origin, login.as_deref(), door)
            } else {
                upgrade(ws, origin, door)
            }
        })
        .boxed()
}

fn upgrade(ws: Ws, origin: String, door: Arc<Door>) -> warp::reply::Response {
    let place = match place(&door, &origin) {
        Ok(place) => place,
        Err((status, sentence)) => return text(status, sentence).into_response(),
    };
    limited(ws)
        .on_upgrade(move |web| async move {
            socket::serve(web, origin, door).await;
            drop(place);
        })
        .into_response()
}

fn upgrade_to_stats(
    ws: Ws,
    origin: &str,
    authorization: Option<&str>,
    door: Arc<Door>,
) -> warp::reply::Response {
    if !door.config.generate_stats {
        return text(StatusCode::NOT_FOUND, "not found\n").into_response();
    }
    if let Some(refusal) = closed(&door, authorization) {
        return refusal.into_response();
    }
    let place = match place(&door, origin) {
        Ok(place) => place,
        Err((status, sentence)) => return text(status, sentence).into_response(),
    };
    limited(ws)
        .on_upgrade(move |web| async move {
            stats::feed(web, door).await;
            drop(place);
        })
        .into_response()
}

/// The library refuses larger frames before they are in memory.
fn limited(ws: Ws) -> Ws {
    ws.max_message_size(MAX_FRAME).max_frame_size(MAX_FRAME)
}

/// A place among the sockets, for a page of an origin that may have one.
fn place(door: &Door, origin: &str) -> Result<OwnedSemaphorePermit, Refusal> {
    if !door.origins.allow(origin) {
        log::warn!(context = "peer", origin = origin; "websocket_refused");
        return Err((StatusCode::FORBIDDEN, "this origin is not allowed\n"));
    }
    Arc::clone(&door.sockets).try_acquire_owned().map_err(|_| {
        log::error!(context = "peer", origin = origin; "websockets_exhausted");
        (StatusCode::SERVICE_UNAVAILABLE, "too many connections\n")
    })
}

fn home(with_door: &BoxedFilter<(Arc<Door>,)>) -> BoxedFilter<(Answer,)> {
    warp::path::end()
        .and(warp::path::full())
        .and(with_door.clone())
        .then(async |path: FullPath, door: Arc<Door>| {
            if door.config.web_prefix == path.as_str() {
                return see(&format!("{}/", path.as_str()));
            }
            file(&door, assets::page("").unwrap_or_default(), &path).await
        })
        .boxed()
}

fn assets_of(with_door: &BoxedFilter<(Arc<Door>,)>) -> BoxedFilter<(Answer,)> {
    warp::path("assets")
        .and(warp::path::tail())
        .and(warp::path::full())
        .and(with_door.clone())
        .then(async |tail: Tail, path: FullPath, door: Arc<Door>| {
            let mut answer = match assets::asset(tail.as_str()) {
                Some(name) => file(&door, name, &path).await,
                None => missing(&path),
            };
            // Experiments embed the scripts in pages of their own.
            answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            answer
        })
        .boxed()
}

fn config(with_door: &BoxedFilter<(Arc<Door>,)>) -> BoxedFilter<(Answer,)> {
    warp::path("config")
        .and(warp::path::param())
        .and(warp::path::end())
        .and(warp::path::full())
        .and(with_door.clone())
        .map(|name: String, path: FullPath, door: Arc<Door>| {
            match read_config_file(&door.config.working, &name) {
                Some(Ok(bytes)) => {
                    found(&assets::content_type(&name), Bytes::from(bytes.into_owned()))
                }
                Some(Err(_)) | None => missing(&path),
            }
        })
        .boxed()
}

fn test(with_door: &BoxedFilter<(Arc<Door>,)>) -> BoxedFilter<(Answer,)> {
    warp::path("test")
        .and(warp::path::tail())
        .and(warp::path::full())
        .and(authorization())
        .and(with_door.clone())
        .then(async |tail: Tail, path: FullPath, authorization: Option<String>, door: Arc<Door>| {
            let name = tail.as_str().split('/').next().unwrap_or_default();
            let open = OPEN_PAGES.contains(&name);
            if !open && let Some(refusal) = closed(&door, authorization.as_deref()) {
                return refusal;
            }
            if !name.is_empty() && name == tail.as_str() {
                return see(&format!("{}/", path.as_str()));
            }
            match assets::page(tail.as_str()) {
                Some(page) if !name.is_empty() => file(&door, page, &path).await,
                _ => missing(&path),
            }
        })
        .boxed()
}

/// Device checks that participants' pages hand in. JSON only: a form of another site cannot send that
/// without asking first, and nobody answers it.
fn checks_of(with_door: &BoxedFilter<(Arc<Door>,)>) -> BoxedFilter<(Answer,)> {
    warp::post()
        .and(warp::path("test"))
        .and(warp::path("checks"))
        .and(warp::path::end())
        .and(header("content-type"))
        .and(header("user-agent"))
        .and(warp::body::stream())
        .and(with_door.clone())
        .then(async |kind: Option<String>, browser: Option<String>, body, door: Arc<Door>| {
            if kind.is_none_or(|kind| !kind.starts_with("application/json")) {
                return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "JSON, please\n");
            }
            let stored = checks::take(&door, &browser.unwrap_or_default(), body).await;
            let (status, said) = match stored {
                Ok(id) => (StatusCode::CREATED, serde_json::json!({"stored": id})),
                Err(error) => {
                    log::warn!(context = "server", error:% = error; "check_refused");
                    (error.status(), serde_json::json!({"error": error.to_string()}))
                }
            };
            let mut answer = found("application/json; charset=utf-8", said.to_string().into());
            *answer.status_mut() = status;
            answer
        })
        .boxed()
}

fn statistics(with_door: &BoxedFilter<(Arc<Door>,)>) -> BoxedFilter<(Answer,)> {
    warp::path("stats")
        .and(warp::path::tail())
        .and(warp::path::full())
        .and(authorization())
        .and(with_door.clone())
        .then(async |tail: Tail, path: FullPath, authorization: Option<String>, door: Arc<Door>| {
            if !door.config.generate_stats {
                return missing(&path);
            }
            if let Some(refusal) = closed(&door, authorization.as_deref()) {
                return refusal;
            }
            match tail.as_str() {
                "" if !path.as_str().ends_with('/') => see(&format!("{}/", path.as_str())),
                "" => file(&door, assets::page("stats/").unwrap_or_default(), &path).await,
                "interactions.json" => match stats::Figures::new(door).read().await {
                    Some(figures) => {
                        found("application/json; charset=utf-8", figures.to_string().into())
                    }
                    None => text(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping\n"),
                },
                _ => missing(&path),
            }
        })
        .boxed()
}

/// Why a protected page is not shown.
fn closed(door: &Door, authorization: Option<&str>) -> Option<Answer> {
    match access(&door.config, authorization) {
        Access::Granted => None,
        Access::Closed => Some(text(
            StatusCode::FORBIDDEN,
            "closed: the operator has to set DUCKSOUP_TEST_PASSWORD\n",
        )),
        Access::Asked => {
            let mut answer = text(StatusCode::UNAUTHORIZED, "login and password, please\n");
            answer.headers_mut().insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"DuckSoup\", charset=\"UTF-8\""),
            );
            Some(answer)
        }
    }
}

async fn file(door: &Door, name: String, path: &FullPath) -> Answer {
    match assets::read(&door.config.working, name).await {
        Some(file) => {
            let bytes = match file.bytes {
                std::borrow::Cow::Borrowed(embedded) => Bytes::from_static(embedded),
                std::borrow::Cow::Owned(own) => Bytes::from(own),
            };
            found(&file.content_type, bytes)
        }
        None => missing(path),
    }
}

fn found(content_type: &str, bytes: Bytes) -> Answer {
    let mut answer = Response::new(bytes);
    let content_type = HeaderValue::from_str(content_type)
        .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

fn text(status: StatusCode, sentence: &'static str) -> Answer {
    let mut answer = found("text/plain; charset=utf-8", Bytes::from_static(sentence.as_bytes()));
    *answer.status_mut() = status;
    answer
}

/// A folder without its slash: links in its page would be wrong.
fn see(path: &str) -> Answer {
    let mut answer = text(StatusCode::FOUND, "");
    if let Ok(location) = HeaderValue::from_str(path) {
        answer.headers_mut().insert(LOCATION, location);
    }
    answer
}

fn missing(path: &FullPath) -> Answer {
    log::info!(context = "server", path = path.as_str(); "not_found");
    text(StatusCode::NOT_FOUND, "not found\n")
}

/// Pages change with the server: browsers ask each time.
fn with_headers(mut answer: Answer) -> Answer {
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

fn not_found() -> BoxedFilter<(warp::reply::Response,)> {
    warp::path::full().map(|path: FullPath| missing(&path).into_response()).boxed()
}

/// What no filter took: the fallback takes all, so only broken requests come here.
async fn refused(rejection: Rejection) -> Result<warp::reply::Response, Infallible> {
    log::info!(context = "server", reason:? = rejection; "request_refused");
    Ok(text(StatusCode::BAD_REQUEST, "this request is not understood\n").into_response())
}
