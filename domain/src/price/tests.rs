use serde_json::json;

use super::*;

/// $3 in, $15 out.
fn plain() -> TokenPrices {
    TokenPrices { input_micros: 3_000_000, output_micros: 15_000_000, cache_read_micros: None, cache_write_micros: None }
}

fn cached() -> TokenPrices {
    TokenPrices { cache_read_micros: Some(300_000), cache_write_micros: Some(3_750_000), ..plain() }
}

#[test]
fn an_answer_costs_what_its_tokens_do() {
    let tokens = Tokens { input: 160, cached: 50, cache_written: 10, output: 20 };
    // 100 * 3 + 50 * 0.3 + 10 * 3.75 + 20 * 15 = 652.5 millionths
    assert_eq!(cached().cost(tokens), 653, "a half goes up");
    assert_eq!(plain().cost(tokens), 160 * 3 + 20 * 15, "without prices of their own what a cache takes and gives is input");
    assert_eq!(plain().cost(Tokens::default()), 0);
}

#[test]
fn it_is_rounded_once_and_not_part_by_part() {
    let prices = |micros| TokenPrices {
        input_micros: micros,
        output_micros: micros,
        cache_read_micros: Some(micros),
        cache_write_micros: Some(micros),
    };
    let tokens = Tokens { input: 3, cached: 1, cache_written: 1, output: 1 };
    // four times 0.3
    assert_eq!(prices(300_000).cost(tokens), 1);
    assert_eq!(prices(124_999).cost(tokens), 0);
    assert_eq!(prices(125_000).cost(tokens), 1);
}

#[test]
fn no_agent_and_no_price_is_too_large() {
    let dear = TokenPrices { input_micros: PRICE_MAX, output_micros: u64::MAX, cache_read_micros: None, cache_write_micros: None };
    let absurd = Tokens { input: u64::MAX, cached: u64::MAX, cache_written: u64::MAX, output: u64::MAX };
    assert_eq!(dear.cost(absurd), COUNTED_MAX);
    let contradicts = Tokens { input: 100, cached: 150, cache_written: 20, output: 0 };
    assert_eq!(cached().cost(contradicts), 30, "no more of it is from a cache than there is");
}

#[test]
fn a_turn_that_is_said_to_have_cost_nothing_is_of_an_unknown_cost() {
    let ended = |cost_micros| SessionEventKind::Ended { how: crate::session::SessionEnd::Completed, turns: Some(1), cost_micros };
    let judged = |cost| SessionEventKind::Judge { round: 1, check: 1, event: Box::new(ended(cost)) };
    for (told, kept) in [(Some(0), None), (Some(7), Some(7)), (None, None)] {
        for (mut event, expected) in [(ended(told), ended(kept)), (judged(told), judged(kept))] {
            event.cost_is_its_agents();
            assert_eq!(event, expected);
        }
    }
}

#[test]
fn what_an_answer_has_cost_only_its_agent_and_the_workspace_say() {
    let usage =
        |cost| SessionEventKind::Usage { model: Some("m".into()), input: 10, cached: 4, cache_written: 2, output: 1, cost, is_part: false };
    let judged = |cost| SessionEventKind::Judge { round: 1, check: 1, event: Box::new(usage(cost)) };
    let tokens = Tokens { input: 10, cached: 4, cache_written: 2, output: 1 };
    assert_eq!((usage(None).uncosted(), judged(None).uncosted()), (Some(("m", tokens)), Some(("m", tokens))));
    let said = |micros, source| Some(StepCost { micros, source });
    for (told, kept) in [
        (said(7, CostSource::Workspace), said(7, CostSource::Agent)),
        (said(u64::MAX, CostSource::Agent), said(COUNTED_MAX, CostSource::Agent)),
        (said(0, CostSource::Agent), None),
        (None, None),
    ] {
        for (mut event, expected) in [(usage(told), usage(kept)), (judged(told), judged(kept))] {
            event.cost_is_its_agents();
            assert_eq!(event, expected);
        }
    }
    let mut event = judged(None);
    event.set_cost(StepCost { micros: 5, source: CostSource::Workspace });
    assert_eq!((event.uncosted(), &event), (None, &judged(said(5, CostSource::Workspace))));
}

/// A runner of the last version says less of an answer, and a server of the last version reads what it knows.
#[test]
fn an_answer_of_which_less_is_said_is_read() {
    let old = json!({"type": "usage", "model": "m", "input": 10, "cached": 4, "output": 1});
    let read: SessionEventKind = serde_json::from_value(old.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), old, "and what is not said is not written");
    let mut costs = read;
    costs.set_cost(StepCost { micros: 5, source: CostSource::Workspace });
    assert_eq!(serde_json::to_value(&costs).unwrap()["cost"], json!({"micros": 5, "source": "workspace"}));
}

#[test]
fn a_price_is_checked_field_by_field() {
    let set = |input, output, read| SetModelPrice {
        input_micros: input,
        output_micros: output,
        cache_read_micros: read,
        cache_write_micros: None,
    };
    let pointers = |model: &str, set: SetModelPrice| match set.validated(model) {
        Ok(_) => vec![],
        Err(invalid) => invalid.errors.into_iter().map(|error| error.pointer).collect::<Vec<_>>(),
    };
    assert_eq!(set(3_000_000, 15_000_000, Some(0)).validated(" a/b:c ").unwrap().0, "a/b:c");
    assert_eq!(pointers("m", set(0, PRICE_MAX.cast_signed(), None)), Vec::<String>::new(), "what costs nothing has a price all the same");
    let most = PRICE_MAX.cast_signed() + 1;
    assert_eq!(pointers(" ", set(-1, most, Some(-1))), ["/model", "/input_micros", "/output_micros", "/cache_read_micros"]);
    assert_eq!(pointers(&"m".repeat(MODEL_MAX + 1), set(0, 0, None)), ["/model"]);
}

#[test]
fn dollars_are_read_and_written_to_the_last_millionth() {
    for (text, micros) in [("3", 3_000_000), ("$3.75", 3_750_000), (" 0.075 ", 75_000), ("0.000001", 1), ("1.50000000", 1_500_000)] {
        assert_eq!(micros_of(text), Ok(micros), "{text}");
    }
    for wrong in ["", "$", ".5", "5.", "-1", "1e3", "1,5", "0.0000001", "1234567890123", "٣"] {
        assert!(micros_of(wrong).is_err(), "{wrong}");
    }
    assert_eq!([3_000_000, 300_000, 75_000, 1, 0].map(decimal), ["3", "0.30", "0.075", "0.000001", "0"]);
    assert_eq!(cached().in_words(), "$3 in, $15 out, $0.30 from a cache, $3.75 to a cache");
}
