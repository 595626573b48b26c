//! In which order the events of a response come.

/// The events of a response with one part, as general availability calls them; `*` is what the
/// part is made of.
const ORDER: [&str; 8] = [
    "response.created",
    "response.output_item.added",
    "response.content_part.added",
    "*.delta",
    "*.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.done",
];

/// What is wrong with the order of a response's events; `part` is what it is made of, such as
/// `response.output_text`.
pub(super) fn faults(kinds: &[&str], part: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut last: Option<(usize, String)> = None;
    for step in ORDER {
        let kind = step.replace('*', part);
        let Some(at) = kinds.iter().position(|seen| *seen == kind) else {
            faults.push(format!("there is no {kind}"));
            continue;
        };
        if let Some((before, earlier)) = &last
            && at < *before
        {
            faults.push(format!("{kind} comes before {earlier}"));
        }
        last = Some((at, kind));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "response.output_text";
    const WHOLE: [&str; 10] = [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ];

    #[test]
    fn the_order_of_the_api_is_faultless() {
        assert!(faults(&WHOLE, TEXT).is_empty());
    }

    #[test]
    fn what_is_left_out_or_too_early_is_named() {
        let without: Vec<&str> = WHOLE
            .into_iter()
            .filter(|kind| *kind != "response.content_part.added")
            .collect();
        assert_eq!(
            faults(&without, TEXT),
            ["there is no response.content_part.added"]
        );
        let mut swapped = WHOLE;
        swapped.swap(6, 7);
        assert_eq!(
            faults(&swapped, TEXT),
            ["response.content_part.done comes before response.output_text.done"]
        );
        assert_eq!(faults(&[], TEXT).len(), ORDER.len());
    }
}
