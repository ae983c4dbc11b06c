// SPDX-License-Identifier: MPL-2.0

//! Routes, without a port: what is shown to whom.

use super::*;
use crate::config::Args;
use base64::Engine as _;
use tempfile::TempDir;
use warp::http::StatusCode;

/// A working directory with pages, and the routes over it.
struct Site {
    working: TempDir,
    routes: warp::filters::BoxedFilter<(warp::reply::Response,)>,
    _lobby: Lobby,
}

fn site(edit: impl FnOnce(&mut Args)) -> Site {
    let working = tempfile::tempdir().expect("a folder");
    for (file, text) in [
        ("web/ducksoup.js", "the script"),
        ("web/lib/session.js", "a module"),
        ("web/pages/index.html", "home"),
        ("web/pages/mirror/index.html", "the mirror"),
        ("web/pages/mirror/mirror.js", "its script"),
        ("web/pages/direct/index.html", "the check"),
        ("web/pages/stats/index.html", "the figures"),
        ("web/.secret", "secret"),
        ("secret.txt", "secret"),
        ("config/server.yml", "generateStats: true # own\n"),
    ] {
        let path = working.path().join(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        std::fs::write(path, text).expect("written");
    }
    let mut args = Args { test_password: Some("pass".into()), ..Args::default() };
    edit(&mut args);
    let config = Config::new(&args, working.path()).expect("valid");
    let (door, lobby, _close) = Door::new(config, 8100, None);
    Site { working, routes: routes::routes(&door), _lobby: lobby }
}

impl Site {
    async fn get(&self, path: &str) -> (StatusCode, String) {
        self.get_as(path, None).await
    }

    async fn get_as(&self, path: &str, login: Option<&str>) -> (StatusCode, String) {
        let mut request = warp::test::request().path(path);
        if let Some(login) = login {
            let encoded = base64::engine::general_purpose::STANDARD.encode(login);
            request = request.header("authorization", format!("Basic {encoded}"));
        }
        let reply = request.reply(&self.routes).await;
        let body = String::from_utf8_lossy(reply.body()).into_owned();
        (reply.status(), body)
    }
}

const ME: Option<&str> = Some("ducksoup:pass");

#[tokio::test]
async fn scripts_are_there_under_every_name_of_the_field_with_cors_open() {
    let site = site(|_| ());
    for (path, body) in [
        ("/assets/v1.5/js/ducksoup.js", "the script"),
        ("/assets/v9/js/lib/session.js", "a module"),
        ("/assets/scripts/lib/ducksoup.js", "the script"),
        ("/assets/ducksoup.js", "the script"),
    ] {
        let reply = warp::test::request().path(path).reply(&site.routes).await;
        assert_eq!(reply.status(), StatusCode::OK, "{path}");
        assert_eq!(reply.body(), body, "{path}");
        let header = |name: &str| reply.headers()[name].to_str().expect("text").to_owned();
        assert_eq!(header("access-control-allow-origin"), "*");
        assert_eq!(header("content-type"), "text/javascript; charset=utf-8");
        assert_eq!(header("cache-control"), "no-cache");
        assert_eq!(header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn no_path_leads_out_of_the_folder_or_around_the_password() {
    let site = site(|_| ());
    for path in [
        "/assets/../secret.txt",
        "/assets/%2e%2e/secret.txt",
        "/assets/..%2fsecret.txt",
        "/assets/..%5csecret.txt",
        "/assets//etc/passwd",
        "/assets/.secret",
        "/assets/lib",
        "/assets/",
        "/assets/pages/mirror/index.html",
        "/assets/v1/js/pages/mirror/index.html",
        "/assets/scripts/lib/pages/mirror/index.html",
        "/config/../secret.txt",
        "/config/key.pem",
        "/test/direct/../mirror/index.html",
        "/test/direct/%2e%2e/mirror/index.html",
        "/nowhere",
    ] {
        let (status, body) = site.get(path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(body, "not found\n", "{path}");
    }
}

#[tokio::test]
async fn test_pages_are_protected_and_device_checks_are_open() {
    let site = site(|_| ());
    for (path, login, status) in [
        ("/", None, StatusCode::OK),
        ("/test/direct/", None, StatusCode::OK),
        ("/test/mirror/", None, StatusCode::UNAUTHORIZED),
        ("/test/mirror/mirror.js", None, StatusCode::UNAUTHORIZED),
        ("/test/mirror/", Some("ducksoup:other"), StatusCode::UNAUTHORIZED),
        ("/test/mirror/", ME, StatusCode::OK),
        ("/test/mirror/mirror.js", ME, StatusCode::OK),
        ("/test/mirror", ME, StatusCode::FOUND),
        ("/test/none/", ME, StatusCode::NOT_FOUND),
        ("/test/", ME, StatusCode::NOT_FOUND),
        ("/stats/", None, StatusCode::UNAUTHORIZED),
        ("/stats/interactions.json", None, StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(site.get_as(path, login).await.0, status, "{path} {login:?}");
    }
    assert_eq!(site.get_as("/test/mirror/", ME).await.1, "the mirror");
    assert_eq!(site.get("/").await.1, "home");
    assert_eq!(site.get_as("/stats/", ME).await.1, "the figures");
    assert_eq!(site.get("/assets/pages/mirror/mirror.js").await.1, "its script");
}

#[tokio::test]
async fn the_documented_password_closes_the_pages_except_in_dev_mode() {
    let documented = Some("ducksoup:ducksoup");
    let prod = site(|args| args.test_password = None);
    let (status, body) = prod.get_as("/test/mirror/", documented).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(body.contains("DUCKSOUP_TEST_PASSWORD"), "{body}");
    assert_eq!(prod.get("/stats/").await.0, StatusCode::FORBIDDEN);
    assert_eq!(prod.get("/test/direct/").await.0, StatusCode::OK);
    let dev = site(|args| {
        args.test_password = None;
        args.mode = Some("DEV".into());
    });
    assert_eq!(dev.get_as("/test/mirror/", documented).await.0, StatusCode::OK);
}

#[tokio::test]
async fn everything_is_under_the_prefix_when_one_is_set() {
    let site = site(|args| args.web_prefix = Some("/lab/soup".into()));
    for (path, status) in [
        ("/lab/soup/", StatusCode::OK),
        ("/lab/soup", StatusCode::FOUND),
        ("/lab/soup/assets/ducksoup.js", StatusCode::OK),
        ("/lab/soup/config/sfu.yml", StatusCode::OK),
        ("/assets/ducksoup.js", StatusCode::NOT_FOUND),
        ("/", StatusCode::NOT_FOUND),
        ("/lab/soupy/", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(site.get(path).await.0, status, "{path}");
    }
    let reply = warp::test::request()
        .path("/lab/soup/test/mirror")
        .header("authorization", "Basic ZHVja3NvdXA6cGFzcw==")
        .reply(&site.routes)
        .await;
    assert_eq!(reply.headers()["location"], "/lab/soup/test/mirror/");
}

#[tokio::test]
async fn config_files_are_shown_as_they_count() {
    let site = site(|_| ());
    assert!(site.get("/config/server.yml").await.1.contains("# own"));
    assert!(site.get("/config/sfu.yml").await.1.contains("800000"));
}

#[tokio::test]
async fn a_web_socket_needs_a_listed_origin() {
    let site = site(|args| args.allowed_ws_origins = Some("https://lab".into()));
    for (origin, allowed) in [
        (Some("https://lab"), true),
        (Some("https://evil"), false),
        (Some("http://localhost:8100"), false),
        (None, false),
    ] {
        let mut request = warp::test::ws().path("/ws?href=x");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let opened = request.handshake(site.routes.clone()).await.is_ok();
        assert_eq!(opened, allowed, "{origin:?}");
    }
    let reply = warp::test::request().path("/ws").reply(&site.routes).await;
    assert_eq!(reply.status(), StatusCode::NOT_FOUND, "no upgrade, no page");
}

#[tokio::test]
async fn only_get_and_head_find_pages() {
    let site = site(|_| ());
    for (method, status) in [
        ("HEAD", StatusCode::OK),
        ("POST", StatusCode::NOT_FOUND),
        ("DELETE", StatusCode::NOT_FOUND),
    ] {
        let request = warp::test::request().method(method).path("/");
        assert_eq!(request.reply(&site.routes).await.status(), status, "{method}");
    }
}

/// A device check as a page sends it.
fn check(user: &str) -> String {
    serde_json::json!({
        "page": "audio_direct", "userId": user, "verdict": "good",
        "screen": {"width": 390, "height": 844},
        "microphone": {"label": "m", "speech": -20, "peak": -3, "noise": -60, "clipped": 0,
            "verdict": "good"},
    })
    .to_string()
}

#[tokio::test]
async fn device_checks_are_taken_stored_and_limited() {
    let site = site(|_| ());
    let hand_in = |body: String, kind: &'static str| {
        warp::test::request()
            .method("POST")
            .path("/test/checks")
            .header("content-type", kind)
            .body(body)
            .reply(&site.routes)
    };
    let json = "application/json";
    let reply = hand_in(check("ann"), json).await;
    assert_eq!(reply.status(), StatusCode::CREATED);
    let said: serde_json::Value = serde_json::from_slice(reply.body()).expect("JSON");
    let id = said["stored"].as_str().expect("an id");
    let folder = site.working.path().join("data/default/checks");
    let names: Vec<_> = std::fs::read_dir(folder)
        .expect("made")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("text"))
        .collect();
    assert!(names.len() == 1 && names[0].ends_with(&format!("-u-ann-{id}.json")), "{names:?}");

    for (body, kind, status) in [
        (check("../ann"), json, StatusCode::BAD_REQUEST),
        (check("ann"), "text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (check(&"x".repeat(10_000)), json, StatusCode::PAYLOAD_TOO_LARGE),
        (String::new(), json, StatusCode::BAD_REQUEST),
    ] {
        let reply = hand_in(body, kind).await;
        assert_eq!(reply.status(), status);
        assert!(!String::from_utf8_lossy(reply.body()).contains("data/"), "no path is told");
    }
    let mut last = StatusCode::CREATED;
    for _ in 0..200 {
        last = hand_in(check("flood"), json).await.status();
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(site.get("/test/checks").await.0, StatusCode::UNAUTHORIZED, "nothing to read here");
}

#[tokio::test]
async fn the_gallery_is_shown_and_an_own_one_takes_its_place() {
    let site = site(|_| ());
    let (status, body) = site.get("/config/play.json").await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("\"pitch\""), "{body}");
    std::fs::write(site.working.path().join("config/play.json"), "{}").expect("written");
    assert_eq!(site.get("/config/play.json").await.1, "{}");
}
