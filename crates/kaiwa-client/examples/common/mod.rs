//! Where the examples find their server.

use std::process::ExitCode;

use kaiwa_client::{Endpoint, Profile};

/// An error with a message for people.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// The server named by the first argument or `KAIWA_URL`, opened by `OPENAI_API_KEY` if that
/// is set. `KAIWA_MODEL` names the model and `KAIWA_PROFILE` the profile.
pub(crate) fn endpoint() -> Result<Endpoint, Failure> {
    let url = std::env::args()
        .nth(1)
        .or_else(|| std::env::var("KAIWA_URL").ok())
        .ok_or("give the server's URL, as in ws://127.0.0.1:8080/v1, or set KAIWA_URL")?;
    let profile = match std::env::var("KAIWA_PROFILE") {
        Ok(name) => name.parse()?,
        Err(_) => Profile::Auto,
    };
    Ok(Endpoint {
        key: std::env::var("OPENAI_API_KEY").ok(),
        key_env: Some("OPENAI_API_KEY".to_owned()),
        model: std::env::var("KAIWA_MODEL").ok(),
        profile,
        ..Endpoint::new(url)
    })
}

/// Ends the program: in silence, or with the error on standard error.
#[expect(clippy::print_stderr, reason = "an example is a program")]
pub(crate) fn exit(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
