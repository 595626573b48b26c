//! Bills, and conversations that end before they cost too much.

use serde_json::{Value, json};

use super::*;
use crate::card::{FileCard, Mic};
use crate::costs::{Cost, Prices, Usd};
use crate::testing::{Switchboard, connected, script};

fn usd(text: &str) -> Usd {
    text.parse().expect("an amount")
}

/// A dollar for a million tokens heard, ten for a million spoken; transcription by the minute.
fn prices() -> Prices {
    Prices::parse(
        r#"
        [[model]]
        name = "model"
        text_input = "1"
        audio_input = "1"
        text_output = "10"
        audio_output = "10"
        max_output = 4096
        as_of = "2026-11-23"
        source = "made up for these tests"

        [[model]]
        name = "whisper-1"
        per_minute = "0.006"
        as_of = "2026-11-23"
        source = "made up for these tests"
        "#,
    )
    .expect("a table")
}

/// A conversation that may cost so much, with a model of this name.
pub(super) fn config(model: &str, budget: Option<&str>) -> ConversationConfig {
    ConversationConfig {
        instructions: Some("Be brief.".to_owned()),
        costs: Some(CostConfig {
            prices: prices(),
            model: Some(model.to_owned()),
            budget: budget.map(usd),
        }),
        ..ConversationConfig::default()
    }
}

async fn typing(config: ConversationConfig, turns: &[&str]) -> (Conversation, FakeServer) {
    let (link, server) = connected().await;
    let card = FileCard::builder().build().expect("a card");
    let (conversation, handle) = Conversation::start(link, card, config);
    for turn in turns {
        handle.say_next(*turn).expect("is taken");
    }
    handle.finish().expect("is taken");
    (conversation, server)
}

fn bills(moments: &[Moment]) -> Vec<&Bill> {
    let bills = events(moments).into_iter().filter_map(|event| match event {
        Event::Billed(bill) => Some(bill),
        _ => None,
    });
    bills.collect()
}

#[tokio::test(start_paused = true)]
async fn every_response_is_billed_and_added_up() {
    let (conversation, mut server) = typing(config("model", None), &["One", "Two"]).await;
    let server = script(async move {
        server.open().await;
        for (response, tokens) in [("resp_1", [100, 0, 50]), ("resp_2", [100, 50, 20])] {
            let create = server.asked().await;
            assert!(create["response"].is_null(), "without a budget, no limit");
            server.begin_response(response).await;
            server.bill_response(response, tokens).await;
        }
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    let bills = bills(&moments);
    assert_eq!(bills.len(), 2);
    let exactly = |usd| Some(Cost { usd, exact: true });
    assert_eq!(bills[0].cost, exactly(usd("0.0006")));
    assert_eq!(bills[1].cost, exactly(usd("0.00035")));
    assert_eq!(bills[1].total.usd, usd("0.00095"));
    assert_eq!(
        bills[1].total.to_string(),
        "2 responses, 250 tokens in, 70 out: $0.0010"
    );
    let json = serde_json::to_value(&moments[moments.len() - 2]).expect("JSON");
    assert_eq!(json["type"], "billed");
    assert_eq!(json["response"], "resp_2");
    assert_eq!(json["cost"], json!({"usd": 0.00035, "exact": true}));
    assert_eq!(json["total"]["usd"], json!(0.00095));
    assert_eq!(reason(&moments), &EndReason::InputEnded);
}

#[tokio::test(start_paused = true)]
async fn a_model_without_a_price_is_counted_and_named_once() {
    let (conversation, mut server) = typing(config("unheard-of", None), &["One", "Two"]).await;
    let server = script(async move {
        server.open().await;
        for response in ["resp_1", "resp_2"] {
            server.asked().await;
            server.begin_response(response).await;
            server.bill_response(response, [10, 0, 5]).await;
        }
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    let bills = bills(&moments);
    assert_eq!(bills[1].cost, None);
    // The server calls it "fake", which has no price either.
    assert_eq!(
        bills[1].total.to_string(),
        "2 responses, 20 tokens in, 10 out; no price is known for fake"
    );
}

#[tokio::test(start_paused = true)]
async fn where_nothing_costs_anything_nothing_is_billed() {
    let (conversation, mut server) = having_typed("Hello").await;
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("resp_1").await;
        server.bill_response("resp_1", [10, 0, 5]).await;
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert!(bills(&moments).is_empty());
}

/// The server makes each answer as long as it is allowed to, and caches nothing: it costs the
/// most that it can, and never more than the budget.
#[tokio::test(start_paused = true)]
async fn the_dearest_conversation_stops_at_or_under_its_budget() {
    for budget in ["0.002", "0.0105", "0.05", "0.5", "1"] {
        let turns = ["Again"; 80];
        let (conversation, mut server) = typing(config("model", Some(budget)), &turns).await;
        let server = script(async move {
            server.open().await;
            let mut seen = 9;
            let mut heard = 0;
            let mut limits = Vec::new();
            while let Some(event) = server.next().await {
                if event["type"] != "response.create" {
                    assert_eq!(event["type"], "conversation.item.create", "{event}");
                    continue;
                }
                let limit = &event["response"]["max_output_tokens"];
                let limit = limit.as_u64().expect("a limit");
                assert!((100..=4096).contains(&limit), "{limit}");
                let response = format!("resp_{}", limits.len());
                limits.push(limit);
                seen += 20;
                server.begin_response(&response).await;
                server.bill_response(&response, [seen, heard, limit]).await;
                heard += limit;
            }
            (limits, seen + heard)
        });
        let moments = all(conversation).await;
        let (limits, seen) = server.await.expect("the script");
        let total = bills(&moments).last().map(|bill| bill.total.clone());
        let total = total.expect("a bill");
        assert_eq!(total.responses, limits.len() as u64);
        assert!(total.usd <= usd(budget), "{} of {budget}", total.usd);
        // What is left would not have paid for what the model has to see, which costs a tenth of
        // what it makes, and an answer worth asking for.
        let next = usd("1").per_million(seen + 10 * 100 + 100);
        assert!(usd(budget).less(total.usd) < next, "{}", total.usd);
        let EndReason::BudgetSpent { message } = reason(&moments) else {
            panic!("it ended with {:?}", reason(&moments));
        };
        let spent = total.usd;
        assert!(message.contains(&spent.to_string()), "{message}");
        assert!(!reason(&moments).is_error());
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_too_small_for_any_answer_ends_before_the_first() {
    let (conversation, mut server) = typing(config("model", Some("0.001")), &["Hello"]).await;
    let server = script(async move {
        server.open().await;
        while let Some(event) = server.next().await {
            assert_ne!(event["type"], "response.create", "{event}");
        }
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert!(matches!(reason(&moments), EndReason::BudgetSpent { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_budget_without_a_price_ends_before_the_first_answer() {
    let (conversation, mut server) = typing(config("unheard-of", Some("5")), &["Hello"]).await;
    let server = script(async move {
        server.open().await;
        while let Some(event) = server.next().await {
            assert_ne!(event["type"], "response.create", "{event}");
        }
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    let EndReason::BudgetSpent { message } = reason(&moments) else {
        panic!("it ended with {:?}", reason(&moments));
    };
    assert!(message.contains("no price is known"), "{message}");
}

/// What the server hears of a turn from 0 to 1000 ms.
async fn take_turn(server: &mut FakeServer, item: &str) {
    for (kind, ms) in [
        ("speech_started", "audio_start_ms"),
        ("speech_stopped", "audio_end_ms"),
    ] {
        let at = if kind == "speech_started" { 0 } else { 1000 };
        let kind = format!("input_audio_buffer.{kind}");
        server
            .send(json!({"type": kind, "item_id": item, ms: at}))
            .await;
    }
    let committed = json!({"type": "input_audio_buffer.committed", "item_id": item,
        "previous_item_id": null});
    server.send(committed).await;
}

#[tokio::test(start_paused = true)]
async fn spoken_turns_are_answered_when_we_ask_and_transcription_is_paid_for() {
    let (link, mut server) = connected().await;
    let card = FileCard::builder()
        .mic(Mic::clip(tone(1000)))
        .build()
        .expect("a card");
    let config = ConversationConfig {
        turn: Turn::default(),
        ..config("model", Some("0.0205"))
    };
    let (conversation, handle) = Conversation::start(link, card, config);
    drop(handle);
    let server = script(async move {
        let update = server.open().await;
        let turn = &update["session"]["audio"]["input"]["turn_detection"];
        assert_eq!(turn["create_response"], Value::Bool(false));
        server.hear(1000).await;
        take_turn(&mut server, "item_1").await;
        let create = server.expect("response.create").await;
        // Of 20,500 millionths, 100 are kept for a second of transcription, 10 for a second of
        // sound, and 105 for the instructions and what is around them and the turn: 9 + 32 + 64
        // tokens at most. A token of the answer costs 10.
        let limit = create["response"]["max_output_tokens"].as_u64();
        assert!(
            limit.is_some_and(|limit| (2020..=2035).contains(&limit)),
            "{create}"
        );
        server.begin_response("resp_1").await;
        let usage = json!({"type": "duration", "seconds": 1.0});
        server
            .send(
                json!({"type": "conversation.item.input_audio_transcription.completed",
                "item_id": "item_1", "content_index": 0, "transcript": "Hello", "usage": usage}),
            )
            .await;
        server.bill_response("resp_1", [40, 10, 1]).await;
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    let bills = bills(&moments);
    assert_eq!(bills.len(), 2);
    assert_eq!(bills[0].item.as_deref(), Some("item_1"));
    assert_eq!(bills[0].cost.map(|cost| cost.usd), Some(usd("0.0001")));
    assert_eq!(bills[1].total.usd, usd("0.00016"));
    assert_eq!(reason(&moments), &EndReason::InputEnded);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_bill_counts_as_the_dearest_it_can_have_been() {
    let (conversation, mut server) = typing(config("model", Some("0.05")), &["One", "Two"]).await;
    let server = script(async move {
        server.open().await;
        let first = server.asked().await;
        assert_eq!(first["response"]["max_output_tokens"], 4096);
        server.begin_response("resp_1").await;
        server
            .send(
                json!({"type": "response.done", "response": {"id": "resp_1", "usage": null,
                "status": "completed", "output": [], "conversation_id": "conv_1"}}),
            )
            .await;
        let second = server.asked().await;
        // Some 40,960 millionths may have been spent.
        let limit = second["response"]["max_output_tokens"].as_u64();
        assert!(limit.is_some_and(|limit| limit < 900), "{second}");
        server.begin_response("resp_2").await;
        server.bill_response("resp_2", [40, 10, 1]).await;
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(reason(&moments), &EndReason::InputEnded);
}

#[tokio::test(start_paused = true)]
async fn absurd_bills_end_the_conversation_and_nothing_else() {
    let (conversation, mut server) = typing(config("model", Some("0.05")), &["One", "Two"]).await;
    let server = script(async move {
        server.open().await;
        server.asked().await;
        server.begin_response("resp_1").await;
        server
            .send(json!({"type": "response.done", "response": {"id": "resp_1",
                "status": "completed", "output": [], "conversation_id": "conv_1",
                "usage": {"input_tokens": u64::MAX, "output_tokens": u64::MAX,
                    "input_token_details": {"text_tokens": u64::MAX, "audio_tokens": u64::MAX},
                    "output_token_details": {"text_tokens": u64::MAX, "audio_tokens": 1}}}}))
            .await;
        while server.next().await.is_some() {}
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert!(matches!(reason(&moments), EndReason::BudgetSpent { .. }));
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_with_the_connection_may_be_billed_and_is_counted() {
    let (switchboard, reconnect) = Switchboard::new();
    let mut config = config("model", Some("0.05"));
    config.reconnect = Some(reconnect);
    let (conversation, mut server) = typing(config, &["Hello"]).await;
    let server = script(async move {
        let tokens = |create: Value| {
            let tokens = &create["response"]["max_output_tokens"];
            tokens.as_u64().expect("a limit")
        };
        server.open().await;
        let first = tokens(server.asked().await);
        server.begin_response("r").await;
        let mut next = switchboard.answer().await;
        drop(server);
        next.open().await;
        let second = tokens(next.asked().await);
        next.begin_response("r").await;
        next.bill_response("r", [100, 0, 100]).await;
        assert!(next.next().await.is_none());
        (first, second)
    });
    let moments = all(conversation).await;
    let (first, second) = server.await.expect("the script");
    assert_eq!(first, 4096);
    // At ten dollars a million, the first answer may have cost $0.041 of $0.05.
    assert!((700..904).contains(&second), "{second}");
    assert_eq!(reason(&moments), &EndReason::InputEnded);
}
