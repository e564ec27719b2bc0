//! Expressions: what they read, what they refuse, and which rows they reject.
#![allow(clippy::unwrap_used, reason = "tests")]

use arrow::array::{Int64Array, StringArray};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::record::{Cells, Origin, Records, Sequence, ShardId};

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("amount", DataType::Int64, true),
        Field::new("Name", DataType::Utf8, false),
        Field::new("coords.latitude", DataType::Float64, true),
    ])
}

fn batch(amounts: Vec<Option<i64>>) -> Batch {
    let rows = amounts.len();
    let names: Vec<String> = (0..rows).map(|row| format!("n{row}")).collect();
    let fields = RecordBatch::try_new(
        Arc::new(schema()),
        vec![
            Arc::new(Int64Array::from(amounts)),
            Arc::new(StringArray::from(names)),
            Arc::new(arrow::array::Float64Array::from(vec![48.5; rows])),
        ],
    );
    let records = Records {
        stream: "s".into(),
        shard: ShardId::new("0"),
        sequence: (0..rows as u64).map(Sequence::from_u64).collect(),
        sub_sequence: vec![0; rows],
        partition_key: Cells::new(Bytes::new(), vec![0; rows + 1]).unwrap(),
        arrival_us: vec![0; rows],
    };
    Batch {
        origin: Origin::Records(Arc::new(records)),
        rows: (0..rows as u32).map(|row| row + 100).collect(),
        nth: vec![0; rows],
        event_us: (0..rows as i64).collect(),
        watermark_us: (0..rows as i64).map(|row| row - 1).collect(),
        fields: fields.unwrap(),
    }
}

fn filter(text: &str) -> Filter {
    Filter::new(Expression::compile(text, &schema()).unwrap()).unwrap()
}

#[test]
fn a_filter_keeps_every_column_aligned() {
    let applied =
        filter("amount > 1 and \"Name\" <> 'n3'").apply(batch(vec![Some(1), Some(2), None, Some(9), Some(5)]));
    assert_eq!(applied.batch.rows, [101, 104]);
    assert_eq!(applied.batch.event_us, [1, 4]);
    assert_eq!(applied.batch.watermark_us, [0, 3]);
    assert_eq!(applied.batch.fields.num_rows(), 2);
    assert!(applied.rejects.is_empty());
}

#[test]
fn only_the_rows_that_fail_are_rejected() {
    let applied = filter("10 / amount >= 5").apply(batch(vec![Some(1), Some(0), Some(2), Some(0), Some(9), None]));
    assert_eq!(applied.batch.rows, [100, 102]);
    assert_eq!(applied.rejects.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1, 3]);
    assert!(applied.rejects[0].1.starts_with("`10 / amount >= 5` fails:"), "{:?}", applied.rejects);
}

#[test]
fn a_select_makes_columns_and_rejects_overflow() {
    let columns = [("double", "amount * 2"), ("who", "Name"), ("north", "coords.latitude > 0")];
    let columns = columns.map(|(name, text)| (name.to_owned(), Expression::compile(text, &schema()).unwrap()));
    assert_eq!(columns[1].1.is_field(), Some("Name"));
    assert_eq!(columns[2].1.reads(), ["coords.latitude"]);
    let applied = Select::new(columns.into()).apply(batch(vec![Some(4), Some(i64::MAX), None]));
    assert_eq!(applied.rejects.len(), 1);
    assert_eq!(applied.rejects[0].0, 1);
    assert_eq!(applied.batch.rows, [100, 102]);
    assert_eq!(applied.batch.fields.schema().field(0).name(), "double");
    assert_eq!(applied.batch.fields.column(0).as_primitive::<arrow::datatypes::Int64Type>().value(0), 8);
}

#[test]
fn mistakes_have_a_kind_and_a_place() {
    let cases = [
        ("amuont > 1", ProblemKind::UnknownField, Some(0..6)),
        ("name = 'x'", ProblemKind::UnknownField, Some(0..4)),
        ("amount > > 1", ProblemKind::Syntax, Some(9..10)),
        ("amount > 'a", ProblemKind::Syntax, Some(9..10)),
        ("amount > 1 and nosuch(amount)", ProblemKind::Function, Some(15..21)),
        ("random() > 0.5", ProblemKind::Function, None),
        ("sum(amount) > 1", ProblemKind::Function, Some(0..3)),
        ("", ProblemKind::Syntax, None),
    ];
    for (text, kind, place) in cases {
        let problem = Expression::compile(text, &schema()).unwrap_err();
        assert_eq!(problem.kind, kind, "{text}: {problem:?}");
        if place.is_some() {
            assert_eq!(problem.place, place, "{text}: {problem:?}");
        }
    }
}

#[test]
fn long_and_deep_expressions_are_refused_or_compiled_but_never_overflow_the_stack() {
    let deep = [
        vec!["amount > 1"; 60].join(" and "),
        vec!["1"; 127].join(" + ") + " > 0",
        "(".repeat(400),
        format!("{}1{}", "(".repeat(200), ")".repeat(200)),
        "- ".repeat(300) + "amount",
        "not ".repeat(400) + "true",
        "case when true then ".repeat(100) + "1" + &" end".repeat(100),
        "x".repeat(5000),
    ];
    for text in deep {
        if let Some(filter) = Expression::compile(&text, &schema()).ok().and_then(Filter::new) {
            filter.apply(batch(vec![Some(2)]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_text_is_compiled_or_refused_with_a_place_inside(text in "[a-z0-9 ()'\"<>=+*/.,é-]{0,40}") {
        if let Err(Problem { place: Some(place), .. }) = Expression::compile(&text, &schema()) {
            prop_assert!(text.get(place).is_some());
        }
    }

    #[test]
    fn rows_are_kept_or_rejected_as_one_by_one(amounts: Vec<Option<i8>>) {
        let amounts: Vec<Option<i64>> = amounts.into_iter().map(|amount| amount.map(|amount| i64::from(amount) % 4)).collect();
        let applied = filter("6 / amount > 2").apply(batch(amounts.clone()));
        let kept: Vec<u32> = (0..).zip(&amounts).filter(|(_, amount)| amount.is_some_and(|a| a != 0 && 6 / a > 2)).map(|(row, _)| row + 100).collect();
        let bad: Vec<u32> = (0..).zip(&amounts).filter(|(_, amount)| **amount == Some(0)).map(|(row, _)| row).collect();
        prop_assert_eq!(applied.batch.rows, kept);
        prop_assert_eq!(applied.rejects.into_iter().map(|(row, _)| row).collect::<Vec<_>>(), bad);
    }
}
