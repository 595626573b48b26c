//! The form of a transcription request.

use axum::extract::{
    DefaultBodyLimit, FromRequest, Multipart, Request,
    multipart::{Field, MultipartError},
};
use bytes::Bytes;

use super::ApiError;

/// Bytes of a form, as the hosted service has it.
pub(super) const MAX_FORM: usize = 25 << 20;

/// Bytes of a field that is not the file.
const MAX_TEXT: usize = 16 << 10;

/// Fields of a form, which a client could repeat without end.
const MAX_FIELDS: usize = 32;

/// What the client sent, as text.
#[derive(Debug, Default)]
pub(super) struct Upload {
    pub(super) file: Option<File>,
    pub(super) model: Option<String>,
    pub(super) language: Option<String>,
    pub(super) prompt: Option<String>,
    pub(super) response_format: Option<String>,
    pub(super) stream: Option<String>,
    pub(super) temperature: Option<String>,
    pub(super) include: Vec<String>,
    pub(super) timestamp_granularities: Vec<String>,
    pub(super) chunking_strategy: Option<String>,
}

/// The recording.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) bytes: Bytes,
}

impl Upload {
    /// Reads a form, whose size was checked before.
    pub(super) async fn read(mut request: Request) -> Result<Self, ApiError> {
        DefaultBodyLimit::disable().apply(&mut request);
        let mut form = Multipart::from_request(request, &())
            .await
            .map_err(|rejection| bad_form(&rejection.body_text()))?;
        let mut upload = Self::default();
        let mut fields = 0;
        while let Some(field) = form.next_field().await.map_err(|error| refuse(&error))? {
            fields += 1;
            if fields > MAX_FIELDS {
                return Err(bad_form(&format!("it has more than {MAX_FIELDS} fields")));
            }
            upload.take(field).await?;
        }
        Ok(upload)
    }

    async fn take(&mut self, field: Field<'_>) -> Result<(), ApiError> {
        let name = field.name().unwrap_or_default().to_owned();
        let place = match name.as_str() {
            "file" => {
                self.file = Some(File {
                    name: field.file_name().map(str::to_owned),
                    content_type: field.content_type().map(str::to_owned),
                    bytes: field.bytes().await.map_err(|e| refuse(&e))?,
                });
                return Ok(());
            }
            "include[]" | "include" => {
                self.include.push(text(&name, field).await?);
                return Ok(());
            }
            "timestamp_granularities[]" | "timestamp_granularities" => {
                self.timestamp_granularities.push(text(&name, field).await?);
                return Ok(());
            }
            "chunking_strategy" => &mut self.chunking_strategy,
            "language" => &mut self.language,
            "model" => &mut self.model,
            "prompt" => &mut self.prompt,
            "response_format" => &mut self.response_format,
            "stream" => &mut self.stream,
            "temperature" => &mut self.temperature,
            _ => {
                return Err(ApiError::invalid(
                    "unknown_parameter",
                    format!("Unknown parameter: '{name}'."),
                )
                .with_param(name));
            }
        };
        *place = Some(text(&name, field).await?);
        Ok(())
    }
}

async fn text(name: &str, field: Field<'_>) -> Result<String, ApiError> {
    let bytes = field.bytes().await.map_err(|e| refuse(&e))?;
    if bytes.len() > MAX_TEXT {
        let limit = format!("at most {MAX_TEXT} bytes");
        return Err(ApiError::out_of_range(name, bytes.len(), &limit));
    }
    String::from_utf8(bytes.into()).map_err(|_| {
        ApiError::invalid_value(name, format!("Invalid value for '{name}': it is no UTF-8."))
    })
}

fn refuse(error: &MultipartError) -> ApiError {
    bad_form(&error.body_text())
}

fn bad_form(reason: &str) -> ApiError {
    ApiError::invalid(
        "invalid_form",
        format!("The form cannot be read: {reason}."),
    )
}
