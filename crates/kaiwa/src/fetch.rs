//! Getting models, never silently: what is needed and how big it is is said first.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use kaiwa_engine::{
    Cancel,
    models::{ModelError, Plan, Planned, Progress, Store},
};

use crate::{
    exit::{Code, Exit},
    output,
};

/// Who is told how models are made ready, and says whether they may be fetched: the terminal's
/// lines ([`Console`]), or a screen.
pub(crate) trait Attendant {
    /// Something is to be fetched, and nobody has allowed it yet. What, was said.
    fn allow(&mut self, plan: &Plan) -> Result<bool, Exit>;

    /// A pull of a model goes on.
    fn fetching(&mut self, planned: &Planned, progress: &Progress<'_>);

    /// A pull has ended, well or not.
    fn fetched(&mut self);

    /// What is here is loaded.
    fn loading(&mut self);
}

/// Makes sure the named models are in the store: asks where somebody can be asked, fetches
/// without asking where `yes` says so, and otherwise says which command would.
pub(crate) fn ensure(store: &Store, models: &[&str], yes: bool) -> Result<(), Exit> {
    provide(store, models, yes, &mut Console::default())
}

/// The same, under somebody's eyes.
pub(crate) fn provide(
    store: &Store,
    models: &[&str],
    yes: bool,
    attendant: &mut dyn Attendant,
) -> Result<(), Exit> {
    let plan = store.missing(models)?;
    if plan.is_empty() {
        return Ok(());
    }
    if plan.bytes() > 0 {
        announce(store, &plan);
        if !yes && !attendant.allow(&plan)? {
            return Err(Exit::new(Code::Models, "nothing was fetched"));
        }
    }
    let cancel = Cancel::new();
    for planned in &plan.models {
        let pulled = store.pull(
            &planned.name,
            &mut |progress| attendant.fetching(planned, &progress),
            &cancel,
        );
        attendant.fetched();
        pulled?;
        output::note(format_args!("  {}: ready", planned.name));
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

/// Nobody can be asked: which command fetches the models.
fn nobody_to_ask(plan: &Plan) -> Exit {
    let names = plan
        .models
        .iter()
        .map(|planned| planned.name.as_str())
        .collect::<Vec<_>>();
    Exit::new(
        Code::Models,
        "models are missing, and nobody is here to ask",
    )
    .with_hint(format!(
        "run \"kaiwa models pull {}\" first, or add --yes",
        names.join(" ")
    ))
}

/// Wrong bytes are never ordinary. A source that does not have a file is: the next one is tried,
/// and where none is left the error says so.
pub(crate) fn tell_of_refusal(model: &str, file: &str, error: &ModelError) {
    if matches!(
        error,
        ModelError::WrongHash { .. } | ModelError::WrongSize { .. }
    ) {
        output::note(format_args!("  {model}/{file}: refused, {error}"));
    } else {
        tracing::debug!(%error, file, "source refused");
    }
}

/// Progress bars on a terminal, or a line per file.
#[derive(Default)]
pub(crate) struct Console {
    bar: Option<ProgressBar>,
}

impl Attendant for Console {
    fn allow(&mut self, plan: &Plan) -> Result<bool, Exit> {
        match output::is_interactive() {
            true => output::confirm("Fetch them now?"),
            false => Err(nobody_to_ask(plan)),
        }
    }

    fn fetching(&mut self, planned: &Planned, progress: &Progress<'_>) {
        let model = &planned.name;
        match progress {
            Progress::Start {
                file,
                origin,
                total,
            } => {
                self.fetched();
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
                self.fetched();
                output::note(format_args!("  {model}/{file}: checking"));
            }
            Progress::Refused { file, error } => {
                self.fetched();
                tell_of_refusal(model, file, error);
            }
            Progress::Wait => output::note("  another kaiwa is fetching this model; waiting"),
            _ => {}
        }
    }

    fn fetched(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Seconds at most, in which there is nothing to be told line by line.
    fn loading(&mut self) {}
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
