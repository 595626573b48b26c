//! Rules of the house that a compiler does not know.
//!
//! Dependencies point one way; the deterministic crates use no clock, thread, socket or
//! randomness of the system; no file grows past a thousand lines.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::report;

/// Each crate and the crates of this workspace it may name.
const LAYERS: &[(&str, &[&str])] = &[
    ("kaiwa-protocol", &[]),
    ("kaiwa-audio", &[]),
    ("kaiwa-session", &["kaiwa-audio", "kaiwa-protocol"]),
    ("kaiwa-engine", &["kaiwa-audio"]),
    ("kaiwa-client", &["kaiwa-audio", "kaiwa-protocol"]),
    ("kaiwa-tools", &[]),
    (
        "kaiwa-server",
        &[
            "kaiwa-audio",
            "kaiwa-client",
            "kaiwa-engine",
            "kaiwa-protocol",
            "kaiwa-session",
            "kaiwa-tools",
        ],
    ),
    (
        "kaiwa",
        &[
            "kaiwa-audio",
            "kaiwa-client",
            "kaiwa-engine",
            "kaiwa-protocol",
            "kaiwa-server",
            "kaiwa-session",
            "kaiwa-tools",
        ],
    ),
];

/// Crates whose outputs depend on their inputs alone.
const DETERMINISTIC: &[&str] = &["kaiwa-protocol", "kaiwa-audio", "kaiwa-session"];

/// What a deterministic crate must not mention outside its tests.
const FORBIDDEN: &[&str] = &[
    "tokio",
    "std::thread",
    "std::net",
    "Instant::now",
    "SystemTime",
    "RandomState",
    "HashMap",
    "HashSet",
];

const LONGEST_FILE: usize = 1000;

pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let mut complaints = Vec::new();
    for (name, allowed) in LAYERS {
        let manifest = root.join("crates").join(name).join("Cargo.toml");
        check_layer(name, allowed, &read(&manifest)?, &mut complaints);
    }
    for name in DETERMINISTIC {
        for file in sources(&root.join("crates").join(name).join("src"))? {
            check_determinism(&file, &read(&file)?, &mut complaints);
        }
    }
    for folder in ["crates", "xtask"] {
        for file in sources(&root.join(folder))? {
            let lines = read(&file)?.lines().count();
            if lines > LONGEST_FILE {
                complaints.push(format!("{}: {lines} lines", file.display()));
            }
        }
    }
    if complaints.is_empty() {
        report("house rules: kept");
        return Ok(());
    }
    for complaint in &complaints {
        report(complaint);
    }
    bail!("{} house rules broken", complaints.len());
}

fn check_layer(name: &str, allowed: &[&str], manifest: &str, complaints: &mut Vec<String>) {
    let dependencies = manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['));
    for line in dependencies {
        let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
        if dependency.starts_with("kaiwa") && !allowed.contains(&dependency) {
            complaints.push(format!("{name} must not depend on {dependency}"));
        }
    }
}

fn check_determinism(file: &Path, text: &str, complaints: &mut Vec<String>) {
    let code = text
        .lines()
        .take_while(|line| line.trim() != "#[cfg(test)]")
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"));
    for (number, line) in code {
        for word in FORBIDDEN {
            if line.contains(word) {
                complaints.push(format!(
                    "{}:{}: {word} in a deterministic crate",
                    file.display(),
                    number + 1
                ));
            }
        }
    }
}

fn sources(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("{}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_against_the_direction_is_named() {
        let mut complaints = Vec::new();
        let manifest = "[dependencies]\nkaiwa-server.workspace = true\nserde = \"1\"\n\n[dev-dependencies]\nkaiwa.workspace = true\n";
        check_layer(
            "kaiwa-session",
            &["kaiwa-protocol"],
            manifest,
            &mut complaints,
        );
        assert_eq!(
            complaints,
            ["kaiwa-session must not depend on kaiwa-server"]
        );
    }

    #[test]
    fn a_clock_in_the_core_is_named_with_its_line() {
        let mut complaints = Vec::new();
        let text = "//! Instant::now in prose is fine.\nlet now = Instant::now();\n#[cfg(test)]\nuse tokio;\n";
        check_determinism(Path::new("a.rs"), text, &mut complaints);
        assert_eq!(
            complaints,
            ["a.rs:2: Instant::now in a deterministic crate"]
        );
    }
}
