// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-app`: see [`ducksoup_app`].

use anyhow::Context as _;
use clap::Parser as _;
use ducksoup_app::config::{Cli, Command, Config, Mode};
use ducksoup_app::{interaction, load, log as app_log, serve};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Command::Interaction) => interaction::run(),
        Some(Command::Load(args)) => return load::run(&args),
        Some(Command::Serve(_)) | None => door(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ducksoup-app: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What was typed for `serve`.
fn arguments() -> ducksoup_app::config::Args {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Serve(args)) => *args,
        _ => cli.args,
    }
}

fn door() -> anyhow::Result<()> {
    let working = std::env::current_dir().context("the working directory")?;
    let mut args = arguments();
    if args.mode.as_deref() == Some("DEV") && read_env_file(&working)? {
        args = arguments();
    }
    let config = Config::new(&args, &working)?;
    if config.mode == Mode::FrontBuild {
        println!("There is nothing to build: the pages and scripts are served as they are.");
        return Ok(());
    }
    app_log::init(&config.log)?;
    std::panic::set_hook(Box::new(|panic| {
        log::error!(target: app_log::FATAL, context = "app", error:% = panic; "app_panicked");
        log::logger().flush();
    }));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime")?;
    runtime.block_on(async {
        let port = config.port;
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
            .await
            .with_context(|| format!("DUCKSOUP_PORT: port {port} cannot be listened on"))?;
        if config.log.stdout {
            let address = listener.local_addr()?;
            println!("DuckSoup: http://localhost:{}{}/", address.port(), config.web_prefix);
        }
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        serve::run(listener, config, async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
        .await?;
        Ok(())
    })
}

/// Adds the variables of `.env` to the environment's own; says whether there is one. Before any
/// thread is started.
fn read_env_file(working: &Path) -> anyhow::Result<bool> {
    let file = working.join(".env");
    if !file.exists() {
        return Ok(false);
    }
    dotenvy::from_path(&file).context("the file .env")?;
    Ok(true)
}
