//! Getting models, never silently: what is needed and how big it is is said first.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use kaiwa_engine::{
    Cancel,
    models::{ModelError, Plan, Progress, Store},
};

use crate::{
    exit::{Code, Exit},
    output,
};

/// Makes sure the named models are in the store: asks where somebody can be asked, fetches
/// without asking where `yes` says so, and otherwise says which command would.
pub(crate) fn ensure(store: &Store, models: &[&str], yes: bool) -> Result<(), Exit> {
    let plan = store.missing(models)?;
    if plan.is_empty() {
        return Ok(());
    }
    if plan.bytes() > 0 {
        announce(store, &plan);
        if !yes && !allowed(&plan)? {
            return Err(Exit::new(Code::Models, "nothing was fetched"));
        }
    }
    let cancel = Cancel::new();
    for planned in &plan.models {
        pull(store, &planned.name, &cancel)?;
    }
    Ok(())
}

fn announce(store: &Store, plan: &Plan) {
    output::note(format_args!(
        "kaiwa needs {} of models, kept in {}:",
        output::megabytes(plan.bytes()),
        store.root().display()
    ));
    for planned in &plan.models {
        let about = store.manifest().model(&planned.name);
        output::note(format_args!(
            "  {:<20} {:>9}  {}",
            planned.name,
            output::megabytes(planned.bytes),
            about.map_or("", |model| model.description.as_str())
        ));
    }
}

fn allowed(plan: &Plan) -> Result<bool, Exit> {
    if output::is_interactive() {
        return output::confirm("Fetch them now?");
    }
    let names = plan
        .models
        .iter()
        .map(|planned| planned.name.as_str())
        .collect::<Vec<_>>();
    Err(Exit::new(
        Code::Models,
        "models are missing, and nobody is here to ask",
    )
    .with_hint(format!(
        "run \"kaiwa models pull {}\" first, or add --yes",
        names.join(" ")
    )))
}

/// Fetches one model with a progress bar (on a terminal) or a line per file.
fn pull(store: &Store, model: &str, cancel: &Cancel) -> Result<(), Exit> {
    let mut display = Display::default();
    let result = store.pull(
        model,
        &mut |progress| display.show(model, &progress),
        cancel,
    );
    display.clear();
    result?;
    output::note(format_args!("  {model}: ready"));
    Ok(())
}

#[derive(Default)]
struct Display {
    bar: Option<ProgressBar>,
}

impl Display {
    fn show(&mut self, model: &str, progress: &Progress<'_>) {
        match progress {
            Progress::Start {
                file,
                origin,
                total,
            } => {
                self.clear();
                let bar = ProgressBar::new(*total).with_style(style());
                bar.set_message(format!("{model}/{file}"));
                bar.enable_steady_tick(Duration::from_millis(200));
                if bar.is_hidden() {
                    output::note(format_args!(
                        "  {model}/{file}: {} from {origin}",
                        output::megabytes(*total)
                    ));
                }
                self.bar = Some(bar);
            }
            Progress::Bytes { done, total, .. } => {
                if let Some(bar) = &self.bar {
                    bar.set_length(*total);
                    bar.set_position(*done);
                }
            }
            Progress::Check { file } => {
                self.clear();
                output::note(format_args!("  {model}/{file}: checking"));
            }
            // A source that does not have the file is ordinary: the next one is tried, and
            // where none is left the error says so. Wrong bytes are never ordinary.
            Progress::Refused { file, error } => {
                self.clear();
                if matches!(
                    error,
                    ModelError::WrongHash { .. } | ModelError::WrongSize { .. }
                ) {
                    output::note(format_args!("  {model}/{file}: refused, {error}"));
                } else {
                    tracing::debug!(%error, file, "source refused");
                }
            }
            Progress::Wait => output::note("  another kaiwa is fetching this model; waiting"),
            _ => {}
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    // The template is constant and valid; the default style stands in all the same.
    ProgressStyle::with_template("  {msg} {bar:24} {bytes}/{total_bytes} {bytes_per_sec}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl From<ModelError> for Exit {
    fn from(error: ModelError) -> Self {
        let code = match error {
            ModelError::UnknownModel { .. } => Code::Usage,
            _ => Code::Models,
        };
        Self::new(code, error)
    }
}
