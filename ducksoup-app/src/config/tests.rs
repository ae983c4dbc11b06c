// SPDX-License-Identifier: MPL-2.0

use super::*;
use clap::Parser as _;

fn config(edit: impl FnOnce(&mut Args)) -> Result<Config, ConfigError> {
    let mut args = Args::default();
    edit(&mut args);
    let working = tempfile::tempdir().expect("a folder");
    Config::new(&args, working.path())
}

#[test]
fn defaults_are_the_documented_ones() {
    let working = tempfile::tempdir().expect("a folder");
    let config = Config::new(&Args::default(), working.path()).expect("valid");
    assert_eq!((config.mode, config.port), (Mode::Prod, 8100));
    assert_eq!(config.web_prefix, "");
    assert!(config.allowed_ws_origins.is_empty());
    assert!(config.generate_stats);
    assert_eq!(config.log, LogConfig { file: None, stdout: false, level: 3, caller: false });
    assert!(!config.protected_pages_open());
    let stage = config.stage_settings();
    assert_eq!((stage.abort_delay, stage.jitter_buffer), (15, 150));
    assert!(stage.twcc && stage.gcc && stage.recording && !stage.log_to_door);
    assert_eq!(stage.data, working.path().join("data"));
    assert_eq!(stage.effect_folders, [working.path().join("plugins")]);
    assert_eq!(stage.media_ports, None);
    assert_eq!(stage.ice_servers.len(), 1);
    assert_eq!(stage.ice_servers[0].urls, ["stun:stun.l.google.com:19302"]);
    assert_eq!(stage.video_bitrate.default, 800_000);
}

#[test]
fn what_is_typed_counts() {
    let config = config(|args| {
        args.mode = Some("DEV".into());
        args.port = Some("0".into());
        args.web_prefix = Some("/lab/ducksoup/".into());
        args.allowed_ws_origins = Some("https://A.example/, http://b:8180,https://c:443".into());
        args.jitter_buffer = Some("200".into());
        args.generate_twcc = Some("false".into());
        args.no_recording = Some("true".into());
        args.media_ports = Some("40000-40010".into());
        args.effect_folders = Some("/models, own".into());
        args.effect_policy = Some("dlib, -pitch".into());
        args.data = Some("/srv/data".into());
        args.log_level = Some("4".into());
        args.abort_delay = Some("".into());
    })
    .expect("valid");
    assert_eq!(
        (config.mode, config.port, config.web_prefix.as_str()),
        (Mode::Dev, 0, "/lab/ducksoup")
    );
    assert_eq!(config.allowed_ws_origins, ["https://a.example", "http://b:8180", "https://c"]);
    assert!(config.log.stdout && config.log.caller && config.protected_pages_open());
    let stage = config.stage_settings();
    assert_eq!((stage.jitter_buffer, stage.abort_delay), (200, 15));
    assert!(!stage.twcc && !stage.recording && stage.log_to_door);
    assert_eq!((stage.log_level, stage.media_ports), (4, Some((40000, 40010))));
    assert_eq!(stage.effect_folders, [PathBuf::from("/models"), config.working.join("own")]);
    assert_eq!(stage.effect_policy, ["dlib", "-pitch"]);
    assert_eq!(stage.data, PathBuf::from("/srv/data"));
}

#[test]
fn a_bad_value_is_refused_by_the_name_of_its_variable() {
    type Field = fn(&mut Args) -> &mut Option<String>;
    let cases: &[(&str, Field, &[&str])] = &[
        ("DUCKSOUP_MODE", |a| &mut a.mode, &["dev", "x"]),
        ("DUCKSOUP_PORT", |a| &mut a.port, &["-1", "65536", "http"]),
        ("DUCKSOUP_WEB_PREFIX", |a| &mut a.web_prefix, &["lab", "/a//b", "/../x", "/a b", "/é"]),
        (
            "DUCKSOUP_ALLOWED_WS_ORIGINS",
            |a| &mut a.allowed_ws_origins,
            &["example.org", "ws://x", "https://", "https://x/page", "*", "https://*.x", "null"],
        ),
        ("DUCKSOUP_JITTER_BUFFER", |a| &mut a.jitter_buffer, &["-1", "1.5", "99999"]),
        ("DUCKSOUP_GENERATE_TWCC", |a| &mut a.generate_twcc, &["maybe"]),
        ("DUCKSOUP_GCC", |a| &mut a.gcc, &["2"]),
        ("DUCKSOUP_LOG_STDOUT", |a| &mut a.log_stdout, &["yes please"]),
        ("DUCKSOUP_LOG_LEVEL", |a| &mut a.log_level, &["5", "info"]),
        (
            "DUCKSOUP_STUN_SERVER_URLS",
            |a| &mut a.stun_server_urls,
            &["stun.l.google.com:19302", "stun:", "turn:x"],
        ),
        ("DUCKSOUP_ICE_SERVERS", |a| &mut a.ice_servers, &["true"]),
        ("DUCKSOUP_NO_RECORDING", |a| &mut a.no_recording, &["-"]),
        ("DUCKSOUP_ABORT_DELAY", |a| &mut a.abort_delay, &["0", "-3", "soon"]),
        ("DUCKSOUP_BLACKOUT", |a| &mut a.blackout, &["-1", "half a minute"]),
        ("DUCKSOUP_MEDIA_PORTS", |a| &mut a.media_ports, &["4000", "5-4", "0-9", "1-70000"]),
        ("DUCKSOUP_PUBLIC_IP", |a| &mut a.public_ip, &["localhost", "0.0.0.0", "224.0.0.1"]),
        ("DUCKSOUP_EFFECT_POLICY", |a| &mut a.effect_policy, &["-", "--x", "a b", "a!b"]),
    ];
    for (variable, field, values) in cases {
        for value in *values {
            let error = config(|args| *field(args) = Some((*value).to_owned()))
                .expect_err(value)
                .to_string();
            assert!(error.starts_with(&format!("{variable}: ")), "{error}");
            assert!(!error.contains('\n'), "one sentence: {error}");
        }
    }
}

#[test]
fn stun_can_be_switched_off_and_its_older_name_counts() {
    let urls = |edit: fn(&mut Args)| -> Vec<String> {
        config(edit)
            .expect("valid")
            .stage_settings()
            .ice_servers
            .into_iter()
            .flat_map(|server| server.urls)
            .collect()
    };
    assert!(urls(|a| a.stun_server_urls = Some("false".into())).is_empty());
    assert_eq!(urls(|a| a.ice_servers = Some("stun:a:1,stuns:b".into())), ["stun:a:1", "stuns:b"]);
    assert!(
        urls(|a| {
            a.ice_servers = Some("stun:a:1".into());
            a.stun_server_urls = Some("false".into());
        })
        .is_empty()
    );
}

#[test]
fn a_password_of_ones_own_opens_the_protected_pages() {
    let own = config(|args| args.test_password = Some("p".into())).expect("valid");
    assert!(own.protected_pages_open());
    assert!(!format!("{own:?}").contains("\"p\""), "never shown");
}

#[test]
fn the_command_line_serves_by_default_and_lists_every_variable() {
    let cli = Cli::try_parse_from(["ducksoup-app", "--port", "1", "--log-stdout"]).expect("valid");
    assert!(cli.command.is_none());
    assert_eq!(cli.args.port.as_deref(), Some("1"));
    assert_eq!(cli.args.log_stdout.as_deref(), Some("true"));
    let cli = Cli::try_parse_from(["ducksoup-app", "serve", "--port", "2"]).expect("valid");
    assert!(matches!(cli.command, Some(Command::Serve(args)) if args.port.as_deref() == Some("2")));
    let cli = Cli::try_parse_from(["ducksoup-app", "interaction"]).expect("valid");
    assert!(matches!(cli.command, Some(Command::Interaction)));
    let help = <Cli as clap::CommandFactory>::command().render_long_help().to_string();
    for variable in ["DUCKSOUP_MODE", "DUCKSOUP_PORT", "DUCKSOUP_TEST_PASSWORD", "DUCKSOUP_DATA"] {
        assert!(help.contains(variable), "{help}");
    }
}

#[test]
fn what_belongs_together_is_asked_for() {
    let needs = |edit: fn(&mut Args)| config(edit).expect_err("incomplete").to_string();
    assert_eq!(needs(|a| a.cert = Some("c.pem".into())), "--cert needs --key");
    assert_eq!(needs(|a| a.key = Some("k.pem".into())), "--key needs --cert");
    assert_eq!(
        needs(|a| a.explicit_host_candidate = Some("true".into())),
        "DUCKSOUP_EXPLICIT_HOST_CANDIDATE needs DUCKSOUP_PUBLIC_IP"
    );
    assert_eq!(
        needs(|a| a.turn_port = Some("3478".into())),
        "DUCKSOUP_TURN_PORT needs DUCKSOUP_TURN_ADDRESS"
    );
    assert_eq!(
        needs(|a| {
            a.turn_address = Some("turn.example.org".into());
            a.turn_port = Some("3478".into());
        }),
        "DUCKSOUP_TURN_ADDRESS needs DUCKSOUP_PUBLIC_IP"
    );
}

#[test]
fn a_turn_server_has_an_address_a_port_and_an_ipv4_address_to_relay_from() {
    let turn = |public: &str| {
        config(|args| {
            args.turn_address = Some("turn.example.org".into());
            args.turn_port = Some("3478".into());
            args.public_ip = Some(public.into());
        })
    };
    let expected = TurnConfig {
        address: "turn.example.org".into(),
        port: 3478,
        public_ip: "203.0.113.7".parse().expect("an address"),
    };
    assert_eq!(turn("203.0.113.7").expect("valid").turn, Some(expected));
    let error = turn("2001:db8::7").expect_err("refused").to_string();
    assert!(error.starts_with("DUCKSOUP_PUBLIC_IP: "), "{error}");
}

#[test]
fn the_public_address_is_a_candidate_only_when_asked_for() {
    let candidate = |explicit: &str| {
        let config = config(|args| {
            args.public_ip = Some("203.0.113.7".into());
            args.explicit_host_candidate = Some(explicit.into());
        });
        config.expect("valid").stage_settings().host_candidate
    };
    assert_eq!(candidate("true"), "203.0.113.7".parse().ok());
    assert_eq!(candidate("false"), None);
}

#[test]
fn every_switch_reaches_the_stage() {
    type Switch = fn(&mut Args) -> &mut Option<String>;
    type Reads = fn(&StageSettings) -> bool;
    let switches: &[(&str, Switch, Reads)] = &[
        ("DUCKSOUP_GENERATE_TWCC", |a| &mut a.generate_twcc, |s| s.twcc),
        ("DUCKSOUP_GCC", |a| &mut a.gcc, |s| s.gcc),
        ("DUCKSOUP_NVCODEC", |a| &mut a.nvcodec, |s| s.nvcodec),
        ("DUCKSOUP_NVCUDA", |a| &mut a.nvcuda, |s| s.nvcuda),
        ("DUCKSOUP_FORCE_OVERLAY", |a| &mut a.force_overlay, |s| s.force_overlay),
        ("DUCKSOUP_GENERATE_PLOTS", |a| &mut a.generate_plots, |s| s.plots),
        ("DUCKSOUP_INTERCEPT_GST_LOGS", |a| &mut a.intercept_gst_logs, |s| s.intercept_gst_logs),
        ("DUCKSOUP_GST_TRACKING", |a| &mut a.gst_tracking, |s| s.intercept_gst_logs),
        ("DUCKSOUP_NO_RECORDING", |a| &mut a.no_recording, |s| !s.recording),
        ("DUCKSOUP_LOG_STDOUT", |a| &mut a.log_stdout, |s| s.log_to_door),
    ];
    for (variable, switch, reads) in switches {
        for (text, on) in [("true", true), ("1", true), ("false", false), ("0", false)] {
            let config = config(|args| *switch(args) = Some(text.into())).expect("valid");
            assert_eq!(reads(&config.stage_settings()), on, "{variable}={text}");
        }
    }
}

#[test]
fn turn_is_what_was_typed() {
    let config = config(|args| {
        args.turn_address = Some("turn.example.org".into());
        args.turn_port = Some("3478".into());
        args.public_ip = Some("203.0.113.7".into());
    });
    let turn = config.expect("valid").turn.expect("a server");
    assert_eq!((turn.address.as_str(), turn.port), ("turn.example.org", 3478));
    assert_eq!(turn.public_ip.to_string(), "203.0.113.7");
}
