//! The linters, in the order of what fails soonest.

use std::{env, path::Path, process::Command};

use anyhow::{Context, ensure};

use crate::{house, report};

pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    house::run(root)?;
    cargo(root, &["fmt", "--all", "--check"], &[])?;
    let deny = ["--", "-D", "warnings"];
    let clippy = ["clippy", "--profile", "ci", "--locked", "--all-targets"];
    cargo(root, &[&clippy[..], &["--workspace"], &deny].concat(), &[])?;
    // Without the embedded engines other code is compiled, so it is linted on its own.
    let pure = ["--package", "kaiwa", "--no-default-features"];
    cargo(root, &[&clippy[..], &pure, &deny].concat(), &[])?;
    cargo(
        root,
        &[
            "doc",
            "--profile",
            "ci",
            "--locked",
            "--workspace",
            "--no-deps",
        ],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )
}

fn cargo(root: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    report(&format!("cargo {}", arguments.join(" ")));
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(root)
        .status()
        .context("cargo cannot be started")?;
    ensure!(status.success(), "cargo {} failed", arguments.join(" "));
    Ok(())
}
