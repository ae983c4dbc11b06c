// SPDX-License-Identifier: MPL-2.0

//! `docs/settings.md` and `env.example` say what the program says: they are written from its own
//! table of flags and variables. `UPDATE_DOCS=1` rewrites them.

use clap::{CommandFactory as _, Parser as _};
use ducksoup_app::config::{Args, Cli, Config};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// One line of the table of flags and variables.
struct Setting {
    variable: Option<String>,
    flag: String,
    value: String,
    /// What it does, without its default.
    help: String,
    default: String,
}

fn settings() -> Vec<Setting> {
    let command = Cli::command();
    let ours = command.get_arguments().filter(|argument| argument.get_id() != "help");
    ours.filter(|argument| argument.get_id() != "version")
        .map(|argument| {
            let help = argument.get_help().expect("a help text").to_string();
            let (help, default) = help.split_once(" [default: ").expect("a default");
            Setting {
                variable: argument.get_env().map(|name| name.to_string_lossy().into_owned()),
                flag: format!("--{}", argument.get_long().expect("a long flag")),
                value: argument.get_value_names().expect("a name").concat(),
                help: help.to_owned(),
                default: default.strip_suffix(']').expect("an end").to_owned(),
            }
        })
        .collect()
}

impl Setting {
    /// The default as it would be typed: empty where there is none.
    fn default_value(&self) -> &str {
        match self.default.split([';', ',']).next().unwrap_or_default() {
            "none" | "any" => "",
            value => value,
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn table() -> String {
    let mut text =
        String::from("| variable | flag | what it does | default |\n|---|---|---|---|\n");
    for setting in settings() {
        let variable = setting.variable.as_deref().map_or("".into(), |name| format!("`{name}`"));
        let (flag, value) = (&setting.flag, setting.value.replace('|', "\\|"));
        let (help, default) = (&setting.help, &setting.default);
        writeln!(text, "| {variable} | `{flag} {value}` | {help} | {default} |").expect("written");
    }
    text
}

fn env_example() -> String {
    let mut text = String::from(
        "# Every variable of the server, with its default. Copy this file to .env, take the # away\n\
         # from what is to be different, and start with DUCKSOUP_MODE=DEV in the environment: only\n\
         # then .env is read. The environment wins over it. With Docker Compose (docker/compose.yml)\n\
         # it counts in every mode. Empty is unset. docs/settings.md says more.\n",
    );
    for setting in settings() {
        let Some(variable) = &setting.variable else { continue };
        text.push('\n');
        let mut line = String::from("#");
        for word in setting.help.split(' ') {
            if line.len() + word.len() >= 99 {
                text.push_str(&line);
                text.push('\n');
                line = String::from("#");
            }
            line.push(' ');
            line.push_str(word);
        }
        writeln!(text, "{line}\n#{variable}={}", setting.default_value()).expect("written");
    }
    text
}

/// The page with every generated part put in its place.
fn page(page: &str) -> String {
    let mut filled = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("<!-- begin: ") {
        let (name, after) = after.split_once(" -->\n").expect("a name");
        let end = format!("<!-- end: {name} -->");
        let (_, after) = after.split_once(&end).expect("an end");
        let part = if name == "variables" {
            table()
        } else {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
            let text = std::fs::read_to_string(&file).expect("a file of config/");
            format!("```yaml\n{text}```\n")
        };
        write!(filled, "{before}<!-- begin: {name} -->\n{part}{end}").expect("written");
        rest = after;
    }
    filled + rest
}

fn same(file: &str, expected: &str) {
    let path = root().join(file);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{file} is not what the program says: UPDATE_DOCS=1 rewrites it");
}

#[test]
fn the_page_of_settings_is_the_programs_own_table() {
    let text = std::fs::read_to_string(root().join("docs/settings.md")).expect("the page");
    same("docs/settings.md", &page(&text));
    for name in ["variables", "config/gst.yml", "config/server.yml", "config/sfu.yml"] {
        assert!(text.contains(&format!("<!-- begin: {name} -->")), "{name}");
    }
}

#[test]
fn env_example_names_every_variable() {
    same("env.example", &env_example());
}

#[test]
fn the_defaults_on_the_page_are_the_defaults() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut words = vec!["ducksoup-app".to_owned()];
    for setting in settings() {
        words.push(format!("{}={}", setting.flag, setting.default_value()));
    }
    let typed = Cli::try_parse_from(words).expect("valid").args;
    let typed = Config::new(&typed, folder.path()).expect("valid");
    let unset = Config::new(&Args::default(), folder.path()).expect("valid");
    assert_eq!(format!("{typed:?}"), format!("{unset:?}"));
}

#[test]
fn the_help_names_every_setting_with_its_default() {
    let help = Cli::command().render_long_help().to_string();
    let help: String = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for setting in settings() {
        assert!(help.contains(&format!("{} ", setting.flag)), "{}", setting.flag);
        assert!(help.contains(&format!("[default: {}]", setting.default)), "{}", setting.flag);
        if let Some(variable) = &setting.variable {
            assert!(help.contains(&format!("[env: {variable}")), "{variable}");
        }
    }
}
