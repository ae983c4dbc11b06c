// SPDX-License-Identifier: MPL-2.0

//! The settings: from what was typed ([`Args`]) to what the program needs ([`Config`]), checked
//! once, at the start. A value that is wrong stops the start with a sentence that names its
//! variable.

mod args;
mod files;
mod gst;
mod tls;

pub use args::{Args, Cli, Command};
pub(crate) use files::read as read_config_file;
pub use tls::Tls;

use crate::serve::limits::Limits;
use ducksoup_signaller::frame::StageSettings;
use ducksoup_signaller::protocol::IceServer;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The documented defaults (README "Environment variables", PROTOCOL "Which one holds").
const DEFAULT_PORT: u16 = 8100;
const DEFAULT_LOGIN: &str = "ducksoup";
const DEFAULT_PASSWORD: &str = "ducksoup";
const DEFAULT_LOG_LEVEL: u8 = 3;
const DEFAULT_STUN: &str = "stun:stun.l.google.com:19302";
const DEFAULT_ABORT_DELAY: u32 = 15;
/// Ours: a router that starts anew, a laptop that changes its network.
const DEFAULT_BLACKOUT: u32 = 30;

/// In which surroundings the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Where participants come.
    Prod,
    /// On the developer's own machine.
    Dev,
    /// Nothing to build: says so and ends.
    FrontBuild,
}

/// A text that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Where the global log goes, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Appended to, when set.
    pub file: Option<PathBuf>,
    /// Whether it is printed on standard output.
    pub stdout: bool,
    /// 0 to 4.
    pub level: u8,
    /// Whether the place in the code is added.
    pub caller: bool,
}

/// The embedded TURN server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnConfig {
    /// What participants are told: a host name or an address.
    pub address: String,
    /// Where it listens, UDP and TCP; 0 is any free port.
    pub port: u16,
    /// The address that it relays from.
    pub public_ip: IpAddr,
}

/// The checked settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// In which surroundings.
    pub mode: Mode,
    /// The port to listen on; 0 is any.
    pub port: u16,
    /// The path under which everything is served: empty, or `/path`.
    pub web_prefix: String,
    /// Origins that may open a WebSocket, as browsers write them.
    pub allowed_ws_origins: Vec<String>,
    /// Login of the protected pages.
    pub test_login: String,
    /// Password of the protected pages.
    pub test_password: Secret,
    /// The global log.
    pub log: LogConfig,
    /// The certificate, where https is served.
    pub tls: Option<Tls>,
    /// The embedded TURN server, where there is one.
    pub turn: Option<TurnConfig>,
    /// Whether `/stats/` is there.
    pub generate_stats: bool,
    /// The working directory.
    pub working: PathBuf,
    /// The program and arguments of a stage.
    pub stage_program: Vec<PathBuf>,
    /// The program that completes what runs whose process died have left; `None`: nobody does.
    pub recovery_program: Option<PathBuf>,
    /// How long the door waits for what.
    pub limits: Limits,
    stage: StageSettings,
}

/// Why the server does not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A variable (or its flag) has a value that cannot be.
    #[error("{variable}: {value:?} is not {expected}")]
    Value {
        /// The environment variable.
        variable: &'static str,
        /// What was typed.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// A file under `config/` is wrong.
    #[error("{file}: {reason}")]
    File {
        /// Which one.
        file: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A file of the certificate is wrong.
    #[error("{flag}: {file}: {reason}")]
    Certificate {
        /// `--cert` or `--key`.
        flag: &'static str,
        /// What was typed.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// One setting needs another.
    #[error("{variable} needs {needs}")]
    Needs {
        /// What is set.
        variable: &'static str,
        /// What is not.
        needs: &'static str,
    },
    /// The program's own path is unknown.
    #[error("the program's own path is unknown: {0}")]
    Program(String),
}

impl Config {
    /// Checks what was typed, for a working directory (an absolute path).
    ///
    /// # Errors
    /// The first value that cannot be, by the name of its variable or file.
    pub fn new(args: &Args, working: &Path) -> Result<Self, ConfigError> {
        let files = files::Files::read(working)?;
        let mode = match set(args.mode.as_deref()) {
            None | Some("PROD") => Mode::Prod,
            Some("DEV") => Mode::Dev,
            Some("FRONT_BUILD") => Mode::FrontBuild,
            Some(value) => return refuse("DUCKSOUP_MODE", value, "PROD, DEV or FRONT_BUILD"),
        };
        let flag = |variable, value: &Option<String>, default| match set(value.as_deref()) {
            None => Ok(default),
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(value) => refuse(variable, value, "true or false"),
        };
        let log = LogConfig {
            file: set(args.log_file.as_deref()).map(|file| working.join(file)),
            stdout: flag("DUCKSOUP_LOG_STDOUT", &args.log_stdout, mode == Mode::Dev)?,
            level: number(
                "DUCKSOUP_LOG_LEVEL",
                args.log_level.as_deref(),
                DEFAULT_LOG_LEVEL,
                0..=4,
                "a level from 0 to 4",
            )?,
            caller: mode == Mode::Dev,
        };
        let public_ip = public_ip(args.public_ip.as_deref())?;
        let explicit =
            flag("DUCKSOUP_EXPLICIT_HOST_CANDIDATE", &args.explicit_host_candidate, false)?;
        if explicit && public_ip.is_none() {
            let variable = "DUCKSOUP_EXPLICIT_HOST_CANDIDATE";
            return Err(ConfigError::Needs { variable, needs: "DUCKSOUP_PUBLIC_IP" });
        }
        let stage = StageSettings {
            data: working.join(set(args.data.as_deref()).unwrap_or("data")),
            abort_delay: number(
                "DUCKSOUP_ABORT_DELAY",
                args.abort_delay.as_deref(),
                DEFAULT_ABORT_DELAY,
                1..=86_400,
                "a number of seconds from 1 to 86400",
            )?,
            blackout: number(
                "DUCKSOUP_BLACKOUT",
                args.blackout.as_deref(),
                DEFAULT_BLACKOUT,
                1..=1200,
                "a number of seconds from 1 to 1200",
            )?,
            jitter_buffer: number(
                "DUCKSOUP_JITTER_BUFFER",
                args.jitter_buffer.as_deref(),
                files.gst.latency,
                0..=10_000,
                "a number of milliseconds from 0 to 10000",
            )?,
            elements: files.gst.elements,
            twcc: flag("DUCKSOUP_GENERATE_TWCC", &args.generate_twcc, true)?,
            gcc: flag("DUCKSOUP_GCC", &args.gcc, true)?,
            ice_servers: ice_servers(args)?,
            media_ports: media_ports(args.media_ports.as_deref())?,
            host_candidate: public_ip.filter(|_| explicit),
            nvcodec: flag("DUCKSOUP_NVCODEC", &args.nvcodec, false)?,
            nvcuda: flag("DUCKSOUP_NVCUDA", &args.nvcuda, false)?,
            force_overlay: flag("DUCKSOUP_FORCE_OVERLAY", &args.force_overlay, false)?,
            plots: flag("DUCKSOUP_GENERATE_PLOTS", &args.generate_plots, false)?,
            intercept_gst_logs: flag(
                "DUCKSOUP_INTERCEPT_GST_LOGS",
                &args.intercept_gst_logs,
                false,
            )? | flag("DUCKSOUP_GST_TRACKING", &args.gst_tracking, false)?,
            effect_folders: set(args.effect_folders.as_deref())
                .map_or_else(|| vec!["plugins"], |folders| list(folders).collect())
                .into_iter()
                .map(|folder| working.join(folder))
                .collect(),
            effect_policy: effect_policy(args.effect_policy.as_deref())?,
            recording: !flag("DUCKSOUP_NO_RECORDING", &args.no_recording, false)?,
            log_level: log.level,
            log_to_door: log.stdout,
            audio_bitrate: files.sfu.audio,
            video_bitrate: files.sfu.video,
        };
        Ok(Self {
            mode,
            port: number(
                "DUCKSOUP_PORT",
                args.port.as_deref(),
                DEFAULT_PORT,
                0..=u16::MAX,
                "a port (0 to 65535)",
            )?,
            web_prefix: web_prefix(args.web_prefix.as_deref())?,
            allowed_ws_origins: set(args.allowed_ws_origins.as_deref())
                .map(|origins| list(origins).map(origin).collect())
                .unwrap_or_else(|| Ok(Vec::new()))?,
            test_login: set(args.test_login.as_deref()).unwrap_or(DEFAULT_LOGIN).to_owned(),
            test_password: Secret(
                set(args.test_password.as_deref()).unwrap_or(DEFAULT_PASSWORD).to_owned(),
            ),
            log,
            tls: Tls::read(args, working)?,
            turn: turn(args, public_ip)?,
            generate_stats: files.server.generate_stats,
            working: working.to_owned(),
            recovery_program: None,
            stage_program: vec![
                std::env::current_exe().map_err(|error| ConfigError::Program(error.to_string()))?,
                "interaction".into(),
            ],
            limits: Limits::bearing(Duration::from_secs(stage.blackout.into())),
            stage,
        })
    }

    /// What a stage needs to know.
    #[must_use]
    pub fn stage_settings(&self) -> StageSettings {
        self.stage.clone()
    }

    /// Whether the protected pages are open to those who know login and password: a password
    /// that everyone can read in the documentation protects nothing where participants come.
    #[must_use]
    pub fn protected_pages_open(&self) -> bool {
        self.mode == Mode::Dev || self.test_password.reveal() != DEFAULT_PASSWORD
    }
}

/// Empty is unset: deployment files often pass a variable on without a value.
fn set(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|value| !value.is_empty())
}

/// The parts between commas.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn refuse<T>(
    variable: &'static str,
    value: &str,
    expected: &'static str,
) -> Result<T, ConfigError> {
    Err(ConfigError::Value { variable, value: value.to_owned(), expected })
}

fn number<T: std::str::FromStr + PartialOrd>(
    variable: &'static str,
    value: Option<&str>,
    default: T,
    range: RangeInclusive<T>,
    expected: &'static str,
) -> Result<T, ConfigError> {
    let Some(text) = set(value) else {
        return Ok(default);
    };
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => refuse(variable, text, expected),
    }
}

fn web_prefix(value: Option<&str>) -> Result<String, ConfigError> {
    let Some(text) = set(value) else {
        return Ok(String::new());
    };
    let path = text.trim_end_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let segment =
        |part: &str| !part.is_empty() && part != "." && part != ".." && part.chars().all(plain);
    match path.strip_prefix('/') {
        _ if path.is_empty() => Ok(String::new()),
        Some(inner) if inner.split('/').all(segment) => Ok(path.to_owned()),
        _ => refuse(
            "DUCKSOUP_WEB_PREFIX",
            text,
            "a path of letters, digits, -, ., _ and ~ that begins with /",
        ),
    }
}

/// An origin as browsers write it: lower case, no slash at the end, no default port.
fn origin(text: &str) -> Result<String, ConfigError> {
    let lower = text.trim_end_matches('/').to_ascii_lowercase();
    let refuse = || {
        refuse("DUCKSOUP_ALLOWED_WS_ORIGINS", text, "an origin (https://host or https://host:port)")
    };
    let (host, default_port) = match lower.split_once("://") {
        Some(("https", host)) => (host, ":443"),
        Some(("http", host)) => (host, ":80"),
        _ => return refuse(),
    };
    if host.is_empty()
        || host.contains(['/', '?', '#', '@', '*'])
        || host.contains(char::is_whitespace)
    {
        return refuse();
    }
    Ok(lower.strip_suffix(default_port).unwrap_or(&lower).to_owned())
}

fn ice_servers(args: &Args) -> Result<Vec<IceServer>, ConfigError> {
    let (variable, text) =
        match (set(args.stun_server_urls.as_deref()), set(args.ice_servers.as_deref())) {
            (Some(text), _) => ("DUCKSOUP_STUN_SERVER_URLS", text),
            (None, Some(text)) => ("DUCKSOUP_ICE_SERVERS", text),
            (None, None) => ("DUCKSOUP_STUN_SERVER_URLS", DEFAULT_STUN),
        };
    if text == "false" {
        return Ok(Vec::new());
    }
    list(text)
        .map(|url| {
            let host = url.strip_prefix("stun:").or_else(|| url.strip_prefix("stuns:"));
            match host {
                Some(host) if !host.is_empty() && !host.contains(char::is_whitespace) => {
                    Ok(IceServer { urls: vec![url.to_owned()], username: None, credential: None })
                }
                _ => refuse(variable, url, "a STUN server (stun:host:port) or false"),
            }
        })
        .collect()
}

fn public_ip(value: Option<&str>) -> Result<Option<IpAddr>, ConfigError> {
    let Some(text) = set(value) else {
        return Ok(None);
    };
    match text.parse::<IpAddr>() {
        Ok(address) if !address.is_unspecified() && !address.is_multicast() => Ok(Some(address)),
        _ => refuse("DUCKSOUP_PUBLIC_IP", text, "the address of one host"),
    }
}

/// Both address and port make a TURN server; it relays from the public address.
fn turn(args: &Args, public_ip: Option<IpAddr>) -> Result<Option<TurnConfig>, ConfigError> {
    let (address, port) = match (set(args.turn_address.as_deref()), set(args.turn_port.as_deref()))
    {
        (None, None) => return Ok(None),
        (Some(address), Some(port)) => (address, port),
        (Some(_), None) => {
            return Err(ConfigError::Needs {
                variable: "DUCKSOUP_TURN_ADDRESS",
                needs: "DUCKSOUP_TURN_PORT",
            });
        }
        (None, Some(_)) => {
            return Err(ConfigError::Needs {
                variable: "DUCKSOUP_TURN_PORT",
                needs: "DUCKSOUP_TURN_ADDRESS",
            });
        }
    };
    if !address.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c)) {
        return refuse("DUCKSOUP_TURN_ADDRESS", address, "a host name or an IPv4 address");
    }
    let needs = "DUCKSOUP_PUBLIC_IP";
    let public_ip =
        public_ip.ok_or(ConfigError::Needs { variable: "DUCKSOUP_TURN_ADDRESS", needs })?;
    if !public_ip.is_ipv4() {
        let expected = "an IPv4 address, which TURN relays from";
        return refuse("DUCKSOUP_PUBLIC_IP", &public_ip.to_string(), expected);
    }
    Ok(Some(TurnConfig {
        address: address.to_owned(),
        port: number("DUCKSOUP_TURN_PORT", Some(port), 0, 1..=u16::MAX, "a port (1 to 65535)")?,
        public_ip,
    }))
}

fn media_ports(value: Option<&str>) -> Result<Option<(u16, u16)>, ConfigError> {
    let Some(text) = set(value) else {
        return Ok(None);
    };
    let ports = text
        .split_once('-')
        .and_then(|(min, max)| Some((min.trim().parse().ok()?, max.trim().parse().ok()?)));
    match ports {
        Some((min, max)) if 1 <= min && min <= max => Ok(Some((min, max))),
        _ => refuse("DUCKSOUP_MEDIA_PORTS", text, "a range of ports (40000-40999)"),
    }
}

fn effect_policy(value: Option<&str>) -> Result<Vec<String>, ConfigError> {
    let word = |c: char| c.is_ascii_alphanumeric() || "-_+.".contains(c);
    list(set(value).unwrap_or_default())
        .map(|entry| {
            let name = entry.strip_prefix('-').unwrap_or(entry);
            if name.is_empty() || name.starts_with('-') || !name.chars().all(word) {
                return refuse(
                    "DUCKSOUP_EFFECT_POLICY",
                    entry,
                    "the name of an element, or one with a - before it",
                );
            }
            Ok(entry.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests;
