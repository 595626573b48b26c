//! `GET /v1/models`: the names this server serves.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Serialize;

use super::ApiError;
use crate::server::Shared;

#[derive(Serialize)]
pub(super) struct List {
    object: &'static str,
    data: Vec<Model>,
}

#[derive(Serialize)]
pub(super) struct Model {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

pub(super) async fn list(State(server): State<Arc<Shared>>) -> Json<List> {
    Json(List {
        object: "list",
        data: names(&server)
            .map(|name| Model::new(&server, name))
            .collect(),
    })
}

pub(super) async fn one(
    State(server): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Json<Model>, ApiError> {
    match names(&server).find(|name| *name == id) {
        Some(name) => Ok(Json(Model::new(&server, name))),
        None => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "model_not_found",
            format!("The model '{id}' does not exist."),
        )
        .with_param("model")),
    }
}

fn names(server: &Shared) -> impl Iterator<Item = &str> {
    let main = &server.config.model;
    let profiles = server.config.profiles.iter().map(|profile| &profile.name);
    let others = profiles
        .chain(&server.config.models)
        .filter(move |name| *name != main);
    std::iter::once(main).chain(others).map(String::as_str)
}

impl Model {
    fn new(server: &Shared, name: &str) -> Self {
        Self {
            id: name.to_owned(),
            object: "model",
            created: server.begun,
            owned_by: "kaiwa",
        }
    }
}
