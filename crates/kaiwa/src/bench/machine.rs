//! What a figure depends on: the machine, the build, the models, the day.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use kaiwa_engine::models::Store;
use serde::Serialize;

use crate::{
    cli::{EngineArgs, EngineKind},
    engines::{END_OF_TURN, VOICE, VOICE_ACTIVITY},
    exit::Exit,
};

/// Where and with what a measurement was made.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    /// Threads that inference uses.
    pub(crate) threads: usize,
    pub(crate) version: &'static str,
    /// Where the build was told of it.
    pub(crate) commit: Option<&'static str>,
    /// Day and time in UTC at which the measurement began.
    pub(crate) date: String,
    /// The engines by name, the models with the start of their hashes.
    pub(crate) engines: Vec<String>,
}

impl Machine {
    pub(crate) fn new(threads: Option<usize>, engines: Vec<String>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            cpu: cpu().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores,
            threads: threads.unwrap_or(cores),
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("KAIWA_COMMIT"),
            date: date(
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(0, |since| since.as_secs()),
            ),
            engines,
        }
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let commit = self
            .commit
            .map_or_else(String::new, |commit| format!(" ({commit})"));
        format!(
            "{}, {} cores, {} threads, kaiwa {}{commit}, {}; {}",
            self.cpu,
            self.cores,
            self.threads,
            self.version,
            self.date,
            self.engines.join(", ")
        )
    }
}

/// All engines of a conversation.
pub(crate) fn engine_names(arguments: &EngineArgs) -> Result<Vec<String>, Exit> {
    if arguments.engine == EngineKind::Scripted {
        return Ok(vec!["scripted".to_owned()]);
    }
    model_names(&[
        VOICE_ACTIVITY,
        END_OF_TURN,
        &arguments.stt,
        &arguments.llm,
        VOICE,
    ])
}

/// Names of models with the start of the hash of their largest file.
pub(crate) fn model_names(names: &[&str]) -> Result<Vec<String>, Exit> {
    let store = Store::open_default()?;
    Ok(names
        .iter()
        .map(|name| match store.manifest().model(name) {
            Ok(model) => {
                let largest = model.files.iter().max_by_key(|file| file.size);
                let hash = largest.map_or("", |file| file.sha256.get(..12).unwrap_or_default());
                format!("{name} {hash}")
            }
            Err(_) => (*name).to_owned(),
        })
        .collect())
}

/// The processor's name, where the system tells it in a file.
fn cpu() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// "2026-11-23 08:16 UTC" of seconds since 1970.
fn date(seconds: u64) -> String {
    // Counted in years that begin in March, so that a leap day is the last of its year.
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era * 400 + year + next;
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_through_leap_years() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_709_251_199, "2024-02-29 23:59 UTC"),
            (1_795_422_960, "2026-11-23 08:36 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }
}
