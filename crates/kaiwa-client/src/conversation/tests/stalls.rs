use std::time::Duration;

use kaiwa_protocol::{Dialect, ServerEvent};
use serde_json::json;

use super::*;
use crate::card::{FileCard, SoundCard};
use crate::testing::{connected, script};

/// A conversation whose loop is the test.
async fn driver() -> Driver<FileCard> {
    let (link, _server) = connected().await;
    let card = FileCard::builder().build().expect("a card");
    let (events, _) = mpsc::channel(EVENTS);
    let (_, orders) = mpsc::channel(COMMANDS);
    let (_, stopped) = watch::channel(false);
    let config = ConversationConfig::default();
    Driver::new(link, card, config, events, orders, stopped)
}

async fn end_tick(driver: &mut Driver<FileCard>) {
    let captured = driver.card.capture(&mut driver.input.frame).await;
    captured.expect("captures");
    driver.end_tick().expect("goes on");
}

/// 20 ms of sound.
fn sound() -> ServerEvent {
    let event = json!({"type": "response.output_audio.delta", "event_id": "e",
        "response_id": "r", "item_id": "a", "output_index": 0, "content_index": 0,
        "delta": "ACAA".repeat(320)});
    let event = Dialect::Ga.parse_server(&event.to_string());
    event.expect("an event")
}

#[tokio::test(start_paused = true)]
async fn sound_that_came_during_a_stall_is_played_right_after_it() {
    // The second stall is too short to be forgiven when the sound is read, and long enough
    // when the tick ends.
    for (stall, more) in [(60_000, 0), (4_900, 200)] {
        let mut driver = driver().await;
        driver.begin_tick().expect("goes on");
        end_tick(&mut driver).await;
        driver.begin_tick().expect("goes on");
        tokio::time::advance(Duration::from_millis(stall)).await;
        for _ in 0..50 {
            driver.understand(sound()).expect("goes on");
        }
        tokio::time::advance(Duration::from_millis(more)).await;
        end_tick(&mut driver).await;
        for _ in 0..2 {
            driver.begin_tick().expect("goes on");
            assert!(driver.clock.playing, "after {stall} ms");
            end_tick(&mut driver).await;
        }
        let cut = driver.playback.interrupt(0);
        assert_eq!((cut[0].played_ms, cut[0].received_ms), (40, 1000));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_is_not_given_up_before_it_is_read_after_a_stall() {
    let (conversation, mut server) = having_typed("Hello").await;
    let server = script(async move {
        server.open().await;
        server.asked().await;
        tokio::time::advance(Duration::from_secs(70)).await;
        // The conversation looks at its clock before it hears of the answer.
        server.hear_for(40).await;
        server.begin_response("r").await;
        server.end_response("r", "completed").await;
        assert!(server.next().await.is_none());
    });
    let moments = all(conversation).await;
    server.await.expect("the script");
    assert_eq!(reason(&moments), &EndReason::InputEnded);
}
