// SPDX-License-Identifier: MPL-2.0

//! The container files hold what the documents promise: folders, port, user, and the packages
//! that the elements come from. They are not built here.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The instructions, each on one line, without comments.
fn instructions(dockerfile: &str) -> Vec<String> {
    let lines = dockerfile.lines().filter(|line| !line.starts_with('#'));
    let text: Vec<_> = lines.collect();
    let text = text.join("\n").replace("\\\n", " ");
    text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

/// The stage that is run.
fn image() -> Vec<String> {
    let all = instructions(&read("docker/Dockerfile"));
    let last = all.iter().rposition(|line| line.starts_with("FROM ")).expect("a base");
    all[last..].to_vec()
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split_whitespace().collect()
}

const FOLDERS: [&str; 4] = ["/app/data", "/app/log", "/app/plugins", "/app/config"];

#[test]
fn the_image_has_the_documented_folders_port_and_user() {
    let image = image();
    let has = |line: &str| assert!(image.iter().any(|own| own == line), "{line:?} in {image:#?}");
    has("WORKDIR /app");
    has("EXPOSE 8100/tcp");
    has("ENTRYPOINT [\"ducksoup-app\"]");
    let user = image.iter().position(|line| line.starts_with("USER ")).expect("a user");
    assert!(!image[user].contains("root") && !image[user].ends_with(" 0"), "{}", image[user]);
    let later = &image[user..];
    assert!(!later.iter().any(|line| line.starts_with("RUN ")), "nothing is done as root later");
    let volumes = image.iter().find_map(|line| line.strip_prefix("VOLUME ")).expect("volumes");
    let volumes: Vec<String> = serde_json::from_str(volumes).expect("a list");
    assert_eq!(volumes, FOLDERS);
    let made = image.iter().find(|line| line.contains("install --directory")).expect("folders");
    assert!(FOLDERS.iter().all(|folder| words(made).contains(folder)), "{made}");
    let paths = image.iter().find(|line| line.starts_with("ENV ")).expect("variables");
    assert!(words(paths).contains("GST_PLUGIN_PATH=/app/plugins"), "{paths}");
    assert!(image.iter().any(|line| line.starts_with("HEALTHCHECK ")), "{image:#?}");
}

#[test]
fn the_image_has_the_elements_that_the_installer_installs() {
    let installer = read(".ci/install");
    let (_, list) = installer.split_once("\nbuild=(").expect("a list");
    let (list, _) = list.split_once(')').expect("an end");
    let image = image();
    let packages = image.iter().find(|line| line.contains("apt-get install")).expect("packages");
    for package in words(list).into_iter().filter(|name| name.starts_with("gstreamer1.0-")) {
        assert!(words(packages).contains(package), "{package}");
    }
    let build = instructions(&read("docker/Dockerfile"));
    let build = build.iter().find(|line| line.contains("-dev ")).expect("packages");
    for package in words(list).into_iter().filter(|name| name.starts_with("libgst")) {
        assert!(words(build).contains(package), "{package}");
    }
}

#[test]
fn the_compose_file_publishes_what_the_image_has() {
    let compose: Value = serde_saphyr::from_str(&read("docker/compose.yml")).expect("YAML");
    let service = &compose["services"]["ducksoup"];
    let texts = |name: &str| -> Vec<String> {
        let list = service[name].as_array().unwrap_or_else(|| panic!("{name}"));
        list.iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
    };
    let media = service["environment"]["DUCKSOUP_MEDIA_PORTS"].as_str().expect("a range");
    assert_eq!(texts("ports"), ["8100:8100/tcp".to_owned(), format!("{media}:{media}/udp")]);
    assert_eq!(service["environment"]["DUCKSOUP_PORT"], "8100");
    let volumes = texts("volumes");
    for folder in FOLDERS {
        let inside = |volume: &&String| volume.split(':').nth(1) == Some(folder);
        assert!(volumes.iter().any(|volume| inside(&volume)), "{folder}");
    }
    assert_eq!(service["env_file"], ".env");
    assert_eq!(service["build"]["dockerfile"], "docker/Dockerfile");
    let args = ducksoup_app::config::Args {
        media_ports: Some(media.to_owned()),
        ..ducksoup_app::config::Args::default()
    };
    let folder = tempfile::tempdir().expect("a folder");
    assert!(ducksoup_app::config::Config::new(&args, folder.path()).is_ok(), "{media}");
}
