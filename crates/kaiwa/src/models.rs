//! `kaiwa models`: what there is, fetching, checking, where it lies.

use kaiwa_engine::models::{FileState, Status, Store};

use crate::{
    cli::ModelsCommand,
    engines,
    exit::{Code, Exit},
    fetch,
    output::{self, line},
};

pub(crate) fn run(command: ModelsCommand) -> Result<(), Exit> {
    let store = Store::open_default()?;
    match command {
        ModelsCommand::List => list(&store),
        ModelsCommand::Pull { names, yes } => pull(&store, &names, yes),
        ModelsCommand::Verify { names } => verify(&store, &names),
        ModelsCommand::Path { name: None } => line(store.root().display()),
        ModelsCommand::Path { name: Some(name) } => line(store.dir(&name)?.display()),
    }
}

fn list(store: &Store) -> Result<(), Exit> {
    for model in store.manifest().models() {
        let state = match store.status(&model.name)? {
            Status::Present => "here",
            Status::Unverified => "here, not verified",
            Status::Missing { .. } => "not here",
            Status::Damaged { .. } => "damaged",
        };
        line(format_args!(
            "{:<20} {:>9}  {:<18} {:<22} {:<14} {}",
            model.name,
            output::megabytes(model.bytes()),
            state,
            model.role.to_string(),
            model.licence,
            model.description
        ))?;
    }
    Ok(())
}

fn pull(store: &Store, names: &[String], yes: bool) -> Result<(), Exit> {
    let names: Vec<&str> = if names.is_empty() {
        engines::DEFAULT_MODELS.to_vec()
    } else {
        names.iter().map(String::as_str).collect()
    };
    // Asking for a model by name is consent; only the default set is worth a question.
    fetch::ensure(store, &names, yes || !output::is_interactive())
}

fn verify(store: &Store, names: &[String]) -> Result<(), Exit> {
    let here = |name: &str| !matches!(store.status(name), Ok(Status::Missing { .. }));
    let names: Vec<&str> = if names.is_empty() {
        let all = store.manifest().models().iter();
        all.map(|model| model.name.as_str())
            .filter(|name| here(name))
            .collect()
    } else {
        names.iter().map(String::as_str).collect()
    };
    let mut bad = 0;
    for name in names {
        for check in store.verify(name)? {
            let state = match check.state {
                FileState::Good => "good".to_owned(),
                FileState::Missing => "missing".to_owned(),
                FileState::WrongHash { expected, actual } => {
                    format!("wrong hash: expected {expected}, found {actual}")
                }
                FileState::WrongSize { expected, actual } => {
                    format!("wrong size: expected {expected} bytes, found {actual}")
                }
            };
            bad += usize::from(state != "good");
            line(format_args!("{name}/{}: {state}", check.file))?;
        }
    }
    if bad > 0 {
        return Err(Exit::new(
            Code::Models,
            format!("{bad} files are not as they should be"),
        )
        .with_hint("run \"kaiwa models pull NAME\" to fetch them again"));
    }
    Ok(())
}
