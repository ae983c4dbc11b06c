// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-app`: see [`ducksoup_app`].

use anyhow::Context as _;
use clap::Parser as _;
use ducksoup_app::config::{Cli, Command, Config, Mode};
use ducksoup_app::{archive, export, interaction, load, log as app_log, render, serve};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    match all_text().and_then(|()| run()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ducksoup-app: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Variables that look like ours and mean nothing: a slip of the pen that would be obeyed by nobody.
fn unknown_variables() -> Vec<String> {
    let command = <Cli as clap::CommandFactory>::command();
    let known: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_env).collect();
    std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.to_string_lossy().starts_with("DUCKSOUP_"))
        .filter(|name| !known.contains(&name.as_os_str()))
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

fn run() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Some(Command::Check) => return check(),
        Some(Command::Export(args)) => return Ok(export::run(&args)),
        Some(Command::Interaction) => interaction::run()?,
        Some(Command::Load(args)) => return Ok(load::run(&args)),
        Some(Command::Verify { folder }) => return verify(&folder),
        Some(Command::Recover { folder, json }) => return recover(&folder, json),
        Some(Command::Render(args)) => {
            return Ok(if render::run(&args)? { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Some(Command::Serve(_)) | None => door()?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what was found out about a folder; fails when anything is not as it was said.
fn verify(folder: &Path) -> anyhow::Result<ExitCode> {
    gst::init().context("GStreamer")?;
    let findings = archive::verify::verify(folder, |name| eprintln!("reading {name}"))?;
    print!("{}", findings.text);
    Ok(if findings.good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Completes the runs of a data folder; fails when one of them could not be.
fn recover(folder: &Path, json: bool) -> anyhow::Result<ExitCode> {
    // Conversations of the same machine go first.
    let _ = rustix::process::nice(archive::recover::NICE);
    let runs = archive::recover::recover(folder, |run| {
        if !run.is_idle() && json {
            // Whoever listened may have gone: the work goes on.
            let _ = serde_json::to_string(run).map(|line| writeln!(std::io::stdout(), "{line}"));
        }
    })?;
    if !json {
        print!("{}", archive::recover::table(&runs));
    }
    let good = runs.iter().all(archive::recover::Run::is_good);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says whether `config/gst.yml` fits this machine.
fn check() -> anyhow::Result<ExitCode> {
    let working = std::env::current_dir().context("the working directory")?;
    // On standard output, where the door looks for it among what plugins say.
    match interaction::check(&working) {
        Ok(()) => println!("The elements of this machine take what config/gst.yml says."),
        Err(error) => {
            println!("{error:#}");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
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
    let mut config = Config::new(&args, &working)?;
    if config.mode == Mode::FrontBuild {
        println!("There is nothing to build: the pages and scripts are served as they are.");
        return Ok(());
    }
    // What runs have left that died is completed by this program, too.
    config.recovery_program = config.stage_program.first().cloned();
    app_log::init(&config.log)?;
    for variable in unknown_variables() {
        log::warn!(context = "init", variable = variable.as_str(); "variable_unknown");
    }
    std::panic::set_hook(Box::new(app_log::tell_panic));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime")?;
    runtime.block_on(async {
        // From here on a signal is an orderly end.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        if let Some(program) = config.stage_program.first() {
            serve::trial::elements(program, &config.working).await.map_err(anyhow::Error::msg)?;
        }
        let port = config.port;
        let listener = serve::listener::bind(port)
            .with_context(|| format!("DUCKSOUP_PORT: port {port} cannot be listened on"))?;
        if config.log.stdout {
            let address = listener.local_addr()?;
            let scheme = if config.tls.is_some() { "https" } else { "http" };
            println!("DuckSoup: {scheme}://localhost:{}{}/", address.port(), config.web_prefix);
        }
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
    let text = std::fs::read_to_string(&file).context("the file .env")?;
    dotenvy::from_read(text.as_bytes()).map_err(|error| match error {
        // The line itself is not shown: it may hold a password.
        dotenvy::Error::LineParse(line, _) => {
            let number = text.lines().take_while(|other| *other != line).count() + 1;
            anyhow::anyhow!(".env: line {number} is not NAME=value")
        }
        error => anyhow::anyhow!(".env: {error}"),
    })?;
    Ok(true)
}

/// Clap would tell of a value that is no text without its name.
fn all_text() -> anyhow::Result<()> {
    for (name, value) in std::env::vars_os() {
        let name = name.to_string_lossy();
        anyhow::ensure!(
            !name.starts_with("DUCKSOUP_") || value.to_str().is_some(),
            "{name}: its value is no UTF-8 text"
        );
    }
    Ok(())
}
