//! Published usage, priced by hand or by whoever published it.

use serde_json::{Value, json};

use super::*;

fn usage(json: Value) -> Usage {
    serde_json::from_value(json).expect("usage")
}

/// What the usage of a response costs, in millionths of a cent.
fn priced(model: &str, json: Value) -> (u64, bool) {
    let prices = Prices::built_in();
    let price = prices.of(model).expect("a price");
    let cost = price.of_response(&usage(json)).expect("a cost");
    (cost.usd.units() / 10_000, cost.exact)
}

/// Text and sound seen, then cached; text and sound made.
fn counts(seen: [u64; 2], cached: [u64; 2], made: [u64; 2]) -> Value {
    let sum = |pair: [u64; 2]| pair[0] + pair[1];
    json!({
        "total_tokens": sum(seen) + sum(made), "input_tokens": sum(seen), "output_tokens": sum(made),
        "input_token_details": {
            "text_tokens": seen[0], "audio_tokens": seen[1], "image_tokens": 0,
            "cached_tokens": sum(cached),
            "cached_tokens_details": {
                "text_tokens": cached[0], "audio_tokens": cached[1], "image_tokens": 0}},
        "output_token_details": {"text_tokens": made[0], "audio_tokens": made[1]},
    })
}

/// Usage of gpt-realtime and the totals printed under it, to a millionth of a dollar, in OpenAI's
/// cookbook: examples/Realtime_out_of_band_transcription.ipynb at 17d1c0e.
#[test]
fn responses_cost_what_the_cookbook_says() {
    for (seen, cached, made, total) in [
        ([1963, 153], [1856, 0], [21, 0], 6402),
        ([2014, 212], [1856, 0], [7, 0], 8270),
        ([2055, 177], [1856, 0], [23, 0], 7570),
        ([2092, 160], [1856, 0], [9, 0], 6950),
    ] {
        let (cost, exact) = priced("gpt-realtime", counts(seen, cached, made));
        assert_eq!((cost + 50) / 100, total, "{seen:?}");
        assert!(exact);
    }
}

/// The usage in the example of `response.done` in OpenAI's API reference, and its prices.
#[test]
fn the_example_of_the_reference_costs_seven_tenths_of_a_cent() {
    let json = counts([119, 13], [64, 0], [30, 91]);
    // 55 * 4 + 64 * 0.40 + 13 * 32 + 30 * 16 + 91 * 64 millionths of a dollar.
    assert_eq!(
        priced("gpt-realtime-2025-08-28", json.clone()),
        (696_560, true)
    );
    // 55 * 0.60 + 64 * 0.06 + 13 * 10 + 30 * 2.40 + 91 * 20.
    assert_eq!(priced("gpt-realtime-mini", json), (205_884, true));
}

/// The usage asked about in OpenAI's forum (community.openai.com/t/1060242), at the prices quoted
/// in the answer: cached sound is taken off fresh sound, cached text off fresh text.
#[test]
fn cached_tokens_are_taken_off_their_own_kind() {
    let json = counts([313, 476], [256, 384], [9, 23]);
    // 57 * 5 + 256 * 2.50 + 92 * 40 + 384 * 2.50 + 9 * 20 + 23 * 80.
    assert_eq!(
        priced("gpt-4o-realtime-preview-2024-12-17", json),
        (758_500, true)
    );
}

#[test]
fn tokens_of_unknown_kind_cost_at_most_what_the_dearest_do() {
    let bare = json!({"total_tokens": 30, "input_tokens": 10, "output_tokens": 20});
    assert_eq!(priced("gpt-realtime", bare), (32_000 + 128_000, false));
    let mut unsorted = counts([100, 0], [0, 0], [0, 0]);
    unsorted["input_token_details"]["cached_tokens"] = json!(60);
    unsorted["input_token_details"]["cached_tokens_details"] = Value::Null;
    assert_eq!(priced("gpt-realtime", unsorted), (40_000, false));
}

#[test]
fn absurd_counts_neither_wrap_nor_go_below_nothing() {
    let prices = Prices::built_in();
    let price = prices.of("gpt-realtime").expect("a price");
    let most = u64::MAX;
    let cost = price.of_response(&usage(json!({
        "input_tokens": most, "output_tokens": most,
        "input_token_details": {"text_tokens": 5, "audio_tokens": most, "cached_tokens": 1,
            "cached_tokens_details": {"text_tokens": most, "audio_tokens": most, "image_tokens": most}},
    })));
    assert_eq!(cost.map(|cost| cost.usd), Some(Usd::from_units(most)));
    let nothing = price.of_response(&Usage::default()).expect("a cost");
    assert_eq!(
        nothing,
        Cost {
            usd: Usd::ZERO,
            exact: true
        }
    );
}

#[test]
fn what_has_no_price_has_no_cost() {
    let prices = Prices::built_in();
    let preview = prices.of("gpt-4o-realtime-preview").expect("a price");
    let mut picture = counts([10, 0], [0, 0], [1, 0]);
    picture["input_token_details"]["image_tokens"] = json!(1);
    assert_eq!(preview.of_response(&usage(picture)), None);
    let whisper = prices.of("whisper-1").expect("a price");
    assert_eq!(
        whisper.of_response(&usage(counts([1, 0], [0, 0], [0, 0]))),
        None
    );
}

#[test]
fn transcriptions_are_priced_by_minute_or_by_token() {
    let cost = |price: &Price, json: Value| {
        let usage: TranscriptionUsage = serde_json::from_value(json).expect("usage");
        price.of_transcription(&usage)
    };
    let prices = Prices::built_in();
    let whisper = prices.of("whisper-1").expect("a price");
    for (seconds, units) in [
        (60.0, 6_000_000_000_u64),
        (0.5, 50_000_000),
        (-1.0, 0),
        (1e300, u64::MAX),
    ] {
        let cost = cost(whisper, json!({"type": "duration", "seconds": seconds}));
        assert_eq!(cost.map(|cost| cost.usd.units()), Some(units), "{seconds}");
    }
    // The example of the API reference, at prices made up for this test.
    let tokens = json!({"type": "tokens", "total_tokens": 22, "input_tokens": 13,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 13}, "output_tokens": 9});
    assert_eq!(cost(whisper, tokens.clone()), None);
    let by_token = Price {
        audio_input: "6".parse().ok(),
        text_output: "10".parse().ok(),
        ..Price::default()
    };
    let expected = Cost {
        usd: "0.000168".parse().expect("an amount"),
        exact: true,
    };
    assert_eq!(cost(&by_token, tokens), Some(expected));
}

#[test]
fn a_total_reads_as_one_line() {
    let mut total = Spent {
        responses: 3,
        input_tokens: 1234,
        cached_tokens: 400,
        output_tokens: 567,
        usd: "0.0123".parse().expect("an amount"),
        ..Spent::default()
    };
    assert_eq!(
        total.to_string(),
        "3 responses, 1,234 tokens in (400 cached), 567 out: $0.0123"
    );
    total.exact = false;
    total.add(None, "some-model");
    total.add(None, "some-model");
    assert_eq!(
        total.to_string(),
        "3 responses, 1,234 tokens in (400 cached), 567 out: at most $0.0123; no price is known \
         for some-model"
    );
    let unpriced = Spent {
        responses: 1,
        input_tokens: 1_000_000,
        unpriced: vec!["some-model".to_owned()],
        ..Spent::default()
    };
    assert_eq!(
        unpriced.to_string(),
        "1 response, 1,000,000 tokens in, 0 out; no price is known for some-model"
    );
}
