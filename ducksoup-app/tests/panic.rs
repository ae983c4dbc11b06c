// SPDX-License-Identifier: MPL-2.0

//! A fault in the server itself is told before it ends.

use ducksoup_app::config::LogConfig;
use ducksoup_app::log;

#[test]
fn a_panic_is_told_in_the_log_at_every_level() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("log/ducksoup.log");
    let config = LogConfig { file: Some(file.clone()), stdout: false, level: 0, caller: false };
    log::init(&config).expect("a log");
    std::panic::set_hook(Box::new(log::tell_panic));
    let broken = std::thread::spawn(|| panic!("the fault of this test")).join();
    let _ = std::panic::take_hook();
    assert!(broken.is_err());
    let text = std::fs::read_to_string(&file).expect("a log");
    let entry: serde_json::Value = serde_json::from_str(text.trim()).expect("one line");
    let told = ["level", "context", "message"].map(|name| entry[name].as_str().expect("a text"));
    assert_eq!(told, ["fatal", "app", "app_panicked"]);
    let error = entry["error"].as_str().expect("a text");
    assert!(error.contains("the fault of this test") && error.contains("panic.rs"), "{error}");
}
