// SPDX-License-Identifier: MPL-2.0

//! What can be typed: the one table of flags and environment variables. Every value is a text
//! here; [`super::Config`] checks them, so that a refusal can name the variable.

use crate::export::ExportArgs;
use crate::load::LoadArgs;
use crate::render::RenderArgs;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "ducksoup-app",
    version,
    about = "DuckSoup: a videoconference for social experiments",
    after_help = "Without a command, it serves. A flag wins over its variable. With DUCKSOUP_MODE=DEV \
                  the variables of the working directory's .env count too, after the environment's own.",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What to do; serve when absent.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings of `serve`.
    #[command(flatten)]
    pub args: Args,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve pages and WebSockets, and start a process for each interaction
    Serve(Box<Args>),
    /// Try what config/gst.yml says on the elements of this machine (serve does so when it starts)
    Check,
    /// Run one interaction: frames in on standard input, frames out on standard output
    Interaction,
    /// Check an interaction's recordings: their hashes, and every frame
    Verify {
        /// The interaction's folder: data/NAMESPACE/INTERACTION
        folder: PathBuf,
    },
    /// Complete what runs whose process died, or whose disk was full, have left (serve does so when it starts)
    Recover {
        /// The data folder, or data/NAMESPACE, or data/NAMESPACE/INTERACTION
        folder: PathBuf,
        /// One JSON object a line for each run that was not whole, instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Make wet streams again from an interaction's dry recordings and its log of commands
    Render(Box<RenderArgs>),
    /// Make aligned files of equal length from an interaction's recordings: mp4 and wav for each participant
    Export(Box<ExportArgs>),
    /// Put a load on a server: many participants with ready-made media, measured at their ends
    Load(Box<LoadArgs>),
}

/// The settings as they are typed. Empty is unset.
#[derive(Debug, Clone, Default, clap::Args)]
#[allow(missing_docs)] // the help texts say it
pub struct Args {
    /// PROD, DEV (logs to standard output, reads .env, allows localhost as an origin) or FRONT_BUILD (nothing to build; exits) [default: PROD]
    #[arg(long, env = "DUCKSOUP_MODE", value_name = "MODE")]
    pub mode: Option<String>,
    /// Port of the HTTP server [default: 8100; 0 is any free one]
    #[arg(long, env = "DUCKSOUP_PORT", value_name = "PORT")]
    pub port: Option<String>,
    /// Path under which everything is served, behind a reverse proxy [default: none]
    #[arg(long, env = "DUCKSOUP_WEB_PREFIX", value_name = "/PATH")]
    pub web_prefix: Option<String>,
    /// Origins of the pages that may open a WebSocket, with commas between [default: none]
    #[arg(long, env = "DUCKSOUP_ALLOWED_WS_ORIGINS", value_name = "ORIGINS")]
    pub allowed_ws_origins: Option<String>,
    /// Login of the protected pages, /test/ and /stats/ [default: ducksoup]
    #[arg(long, env = "DUCKSOUP_TEST_LOGIN", value_name = "LOGIN")]
    pub test_login: Option<String>,
    /// Their password; while it is the default they are closed, except in DEV mode [default: ducksoup]
    #[arg(long, env = "DUCKSOUP_TEST_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    pub test_password: Option<String>,
    /// Ceiling of what a missing packet is waited for, in ms [default: 150]
    #[arg(long, env = "DUCKSOUP_JITTER_BUFFER", value_name = "MS")]
    pub jitter_buffer: Option<String>,
    /// Send transport-wide feedback to browsers [default: true]
    #[arg(long, env = "DUCKSOUP_GENERATE_TWCC", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub generate_twcc: Option<String>,
    /// Estimate what a receiver can take by Google congestion control [default: true]
    #[arg(long, env = "DUCKSOUP_GCC", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub gcc: Option<String>,
    /// File to which the global log is appended [default: none]
    #[arg(long, env = "DUCKSOUP_LOG_FILE", value_name = "FILE")]
    pub log_file: Option<String>,
    /// Print all logs on standard output [default: false, in DEV mode true]
    #[arg(long, env = "DUCKSOUP_LOG_STDOUT", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub log_stdout: Option<String>,
    /// 0 fatal, 1 errors, 2 info, 3 debug, 4 trace [default: 3]
    #[arg(long, env = "DUCKSOUP_LOG_LEVEL", value_name = "0-4")]
    pub log_level: Option<String>,
    /// STUN servers for clients and for the server, with commas between, or false for none [default: stun:stun.l.google.com:19302]
    #[arg(long, env = "DUCKSOUP_STUN_SERVER_URLS", value_name = "URLS")]
    pub stun_server_urls: Option<String>,
    /// The older name of DUCKSOUP_STUN_SERVER_URLS, which wins [default: none]
    #[arg(long, env = "DUCKSOUP_ICE_SERVERS", value_name = "URLS")]
    pub ice_servers: Option<String>,
    /// Encode and decode H.264 on an NVIDIA GPU, for participants who ask for it [default: false]
    #[arg(long, env = "DUCKSOUP_NVCODEC", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub nvcodec: Option<String>,
    /// Scale and convert pictures on an NVIDIA GPU, for participants who ask for it [default: false]
    #[arg(long, env = "DUCKSOUP_NVCUDA", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub nvcuda: Option<String>,
    /// Show the time in every picture, recorded too [default: false]
    #[arg(long, env = "DUCKSOUP_FORCE_OVERLAY", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub force_overlay: Option<String>,
    /// Draw plots of bitrates, sizes, losses into the data folder [default: false]
    #[arg(long, env = "DUCKSOUP_GENERATE_PLOTS", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub generate_plots: Option<String>,
    /// Put GStreamer's own log (GST_DEBUG) into the interactions' logs [default: false]
    #[arg(long, env = "DUCKSOUP_INTERCEPT_GST_LOGS", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub intercept_gst_logs: Option<String>,
    /// An older name of DUCKSOUP_INTERCEPT_GST_LOGS; either switches it on [default: false]
    #[arg(long, env = "DUCKSOUP_GST_TRACKING", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub gst_tracking: Option<String>,
    /// Write no audio or video files [default: false]
    #[arg(long, env = "DUCKSOUP_NO_RECORDING", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub no_recording: Option<String>,
    /// Seconds from the first join until an incomplete interaction is aborted [default: 15]
    #[arg(long, env = "DUCKSOUP_ABORT_DELAY", value_name = "S")]
    pub abort_delay: Option<String>,
    /// Seconds that a participant's network may be gone in a run before the others are told [default: 30]
    #[arg(long, env = "DUCKSOUP_BLACKOUT", value_name = "S")]
    pub blackout: Option<String>,
    /// This server's address as participants reach it; TURN relays from it [default: none]
    #[arg(long, env = "DUCKSOUP_PUBLIC_IP", value_name = "IP")]
    pub public_ip: Option<String>,
    /// Offer DUCKSOUP_PUBLIC_IP as a host candidate [default: false]
    #[arg(long, env = "DUCKSOUP_EXPLICIT_HOST_CANDIDATE", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub explicit_host_candidate: Option<String>,
    /// Host name or address of the embedded TURN server, as participants are told; needs DUCKSOUP_TURN_PORT and DUCKSOUP_PUBLIC_IP [default: none]
    #[arg(long, env = "DUCKSOUP_TURN_ADDRESS", value_name = "HOST")]
    pub turn_address: Option<String>,
    /// Port of the embedded TURN server, UDP and TCP [default: none]
    #[arg(long, env = "DUCKSOUP_TURN_PORT", value_name = "PORT")]
    pub turn_port: Option<String>,
    /// UDP ports for media [default: any]
    #[arg(long, env = "DUCKSOUP_MEDIA_PORTS", value_name = "MIN-MAX")]
    pub media_ports: Option<String>,
    /// Folders in which effects may name files, with commas between [default: plugins]
    #[arg(long, env = "DUCKSOUP_EFFECT_FOLDERS", value_name = "FOLDERS")]
    pub effect_folders: Option<String>,
    /// Elements allowed besides the policy's own, or with a - before them forbidden, with commas between [default: none]
    #[arg(
        long,
        env = "DUCKSOUP_EFFECT_POLICY",
        value_name = "ELEMENTS",
        allow_hyphen_values = true
    )]
    pub effect_policy: Option<String>,
    /// Certificate chain (PEM): serve https and wss; needs --key [default: none]
    #[arg(long, value_name = "FILE")]
    pub cert: Option<String>,
    /// Private key of the certificate (PEM) [default: none]
    #[arg(long, value_name = "FILE")]
    pub key: Option<String>,
    /// Folder for recordings, logs and events [default: data]
    #[arg(long, env = "DUCKSOUP_DATA", value_name = "FOLDER")]
    pub data: Option<String>,
}
