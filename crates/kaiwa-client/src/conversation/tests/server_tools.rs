use serde_json::json;

use super::*;
use crate::testing::script;

#[tokio::test(start_paused = true)]
async fn the_servers_tool_calls_are_told_with_their_names() {
    let (conversation, mut server) = having_typed("How warm is it?").await;
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("r").await;
        let call = |id: &str, error: serde_json::Value| {
            json!({"type": "mcp_call", "id": id, "server_label": "weather", "name": "look",
                "arguments": "{}", "error": error})
        };
        let error = json!({"type": "http_error", "code": 500, "message": "no"});
        for (id, error) in [("a", json!(null)), ("b", error)] {
            for (kind, item) in [
                ("response.output_item.added", call(id, json!(null))),
                ("response.output_item.done", call(id, error)),
            ] {
                server
                    .send(
                        json!({"type": kind, "response_id": "r", "output_index": 0, "item": item}),
                    )
                    .await;
            }
        }
        server.end_response("r", "completed").await;
        server
    });
    let moments = all(conversation).await;
    let mut told = Vec::new();
    for event in events(&moments) {
        match event {
            Event::ToolCallStarted {
                item,
                name,
                arguments: None,
            } => told.push((item.as_str(), name.as_str(), None)),
            Event::ToolCallDone {
                item,
                name,
                failed,
                why,
            } => {
                assert_eq!(why.as_deref(), failed.then_some("no"));
                told.push((item, name, Some(*failed)));
            }
            _ => {}
        }
    }
    assert_eq!(
        told,
        [
            ("a", "look", None),
            ("a", "look", Some(false)),
            ("b", "look", None),
            ("b", "look", Some(true)),
        ]
    );
    drop(server.await.expect("the script"));
}
