//! Hostile results: none panics, none gets through.

#![allow(clippy::unwrap_used, reason = "tests")]

use arrow::array::{Array, AsArray};
use arrow::datatypes::Decimal128Type;
use proptest::prelude::*;

use super::*;
use crate::plugin::describe::Identity;

fn field(kind: FieldKind, optional: bool) -> Field {
    Field { path: "f".into(), kind, optional, doc: String::new() }
}

fn output(fields: Vec<Field>, sets: Identity) -> Output {
    let arrow =
        |field: &Field| arrow::datatypes::Field::new(field.path.as_ref(), field.kind.data_type(), field.optional);
    let schema = Arc::new(arrow::datatypes::Schema::new(fields.iter().map(arrow).collect::<Vec<_>>()));
    Output { name: "out".into(), fields, sets, doc: String::new(), schema }
}

fn bytes_of(cells: &[&[u8]]) -> BytesColumnResult {
    let cells: Cells = cells.iter().copied().collect();
    BytesColumnResult { data: cells.data().to_vec(), offsets: cells.offsets().to_vec() }
}

fn absent() -> BytesColumnResult {
    BytesColumnResult { data: Vec::new(), offsets: Vec::new() }
}

fn row(values: ValuesResult, source: Vec<u32>) -> types::Emitted {
    types::Emitted {
        output: 0,
        source,
        partition_key: absent(),
        event_us: Vec::new(),
        operation: Vec::new(),
        payload: absent(),
        fields: vec![ColumnResult { values, null: Vec::new() }],
    }
}

fn of(emitted: Vec<types::Emitted>) -> types::Processed {
    let timers =
        types::TimerOps { key: Vec::new(), tag: absent(), domain: Vec::new(), at_ms: Vec::new(), set: Vec::new() };
    types::Processed { emitted, errors: Vec::new(), timers }
}

fn given(made: types::Processed, sources: usize, outputs: &[Output], rows_per_row: usize) -> Lifted<Processed> {
    processed(made, Given { sources, keys: None, outputs, rows_per_row })
}

fn lifted(kind: FieldKind, values: ValuesResult, source: Vec<u32>) -> Lifted<Processed> {
    given(of(vec![row(values, source)]), 4, &[output(vec![field(kind, true)], Identity::default())], 10)
}

#[test]
fn sound_results_become_columns() {
    let made = lifted(FieldKind::Text, ValuesResult::Text(bytes_of(&[b"a", "ä".as_bytes()])), vec![3, 0]).unwrap();
    assert_eq!(made.outputs[0].source, [3, 0]);
    let texts: Vec<_> = made.outputs[0].fields.column(0).as_string::<i32>().iter().flatten().collect();
    assert_eq!(texts, ["a", "ä"]);
}

#[test]
fn an_output_nobody_emitted_to_is_empty() {
    let made = given(of(Vec::new()), 4, &[output(vec![field(FieldKind::Date, false)], Identity::default())], 10);
    assert_eq!(made.unwrap().outputs[0].fields.num_rows(), 0);
}

#[test]
fn each_lie_is_named() {
    let text = |data: &[u8], offsets: &[u32]| {
        ValuesResult::Text(BytesColumnResult { data: data.to_vec(), offsets: offsets.to_vec() })
    };
    let cases = [
        (FieldKind::Text, text(b"ab", &[0, 2, 1]), "out of order"),
        (FieldKind::Text, text(b"ab", &[0, 1, 9]), "past the 2 bytes"),
        (FieldKind::Text, text(b"ab", &[0, 2]), "1 cells for 2 rows"),
        (FieldKind::Text, text(b"", &[]), "no offsets"),
        (FieldKind::Text, text(&[0xff, 0xfe], &[0, 1, 2]), "not UTF-8"),
        (FieldKind::Text, text("ä".as_bytes(), &[0, 1, 2]), "not UTF-8"),
        (FieldKind::Json, ValuesResult::Json(bytes_of(&[b"{}", b"{"])), "row 1 is no JSON"),
        (FieldKind::Boolean, ValuesResult::Boolean(vec![0, 2]), "row 1 is 2"),
        (FieldKind::Int64, ValuesResult::Int64(vec![1]), "1 cells for 2 rows"),
        (FieldKind::Int64, ValuesResult::Int32(vec![1, 2]), "its cells are Int32, declared is Int64"),
    ];
    for (kind, values, expected) in cases {
        let what = lifted(kind, values, vec![0, 1]).unwrap_err();
        assert!(what.contains(expected), "expected `{expected}`, got `{what}`");
    }
}

#[test]
fn rows_must_come_from_records_that_were_given_and_not_be_too_many() {
    let what = lifted(FieldKind::Int64, ValuesResult::Int64(vec![1]), vec![4]).unwrap_err();
    assert!(what.contains("comes from record 4, but 4 were given"), "{what}");
    let many = 4 * 10 + FREE_ROWS + 1;
    let what = lifted(FieldKind::Int64, ValuesResult::Int64(vec![1; many]), vec![0; many]).unwrap_err();
    assert!(what.contains("the limit is 1040"), "{what}");
}

#[test]
fn columns_an_output_does_not_set_must_be_absent() {
    let mut unasked = row(ValuesResult::Int64(vec![1]), vec![0]);
    unasked.event_us = vec![1];
    let what = given(of(vec![unasked]), 1, &[output(vec![field(FieldKind::Int64, true)], Identity::default())], 1);
    assert!(what.unwrap_err().contains("event time has 1 cells, expected 0"));
}

#[test]
fn decimals_keep_every_digit_or_are_refused() {
    let one = 10i128.pow(18);
    assert_eq!(decimal(&[1], 0), Some(one));
    assert_eq!(decimal(&[0xff], 0), Some(-one));
    assert_eq!(decimal(&[0x00, 0x80], 18), Some(128));
    assert_eq!(decimal(&[0; 40], i32::MIN), Some(0));
    assert_eq!(decimal(&[10], 19), Some(1));
    assert_eq!(decimal(&[11], 19), None);
    assert_eq!(decimal(&[], 0), None);
    assert_eq!(decimal(&[1; 17], 0), None);
    assert_eq!(decimal(&[0x7f; 16], 0), None);
    assert_eq!(decimal(&[1], i32::MIN), None);
    assert_eq!(decimal(&[1], i32::MAX), None);
}

fn hostile_bytes() -> impl Strategy<Value = BytesColumnResult> {
    let offsets = prop_oneof![
        prop::collection::vec(0u32..8, 0..6),
        prop::collection::vec(any::<u32>(), 0..6),
        Just(vec![0, 1, 2, 3]),
    ];
    (prop::collection::vec(any::<u8>(), 0..8), offsets).prop_map(|(data, offsets)| BytesColumnResult { data, offsets })
}

fn hostile_values() -> impl Strategy<Value = ValuesResult> {
    prop_oneof![
        prop::collection::vec(0u8..4, 0..5).prop_map(ValuesResult::Boolean),
        prop::collection::vec(any::<i32>(), 0..5).prop_map(ValuesResult::Int32),
        prop::collection::vec(any::<i64>(), 0..5).prop_map(ValuesResult::Int64),
        prop::collection::vec(any::<f64>(), 0..5).prop_map(ValuesResult::Float64),
        prop::collection::vec(any::<i64>(), 0..5).prop_map(ValuesResult::Timestamp),
        prop::collection::vec(any::<i32>(), 0..5).prop_map(ValuesResult::Date),
        hostile_bytes().prop_map(ValuesResult::Text),
        hostile_bytes().prop_map(ValuesResult::Binary),
        hostile_bytes().prop_map(ValuesResult::Json),
        (hostile_bytes(), any::<i32>())
            .prop_map(|(unscaled, scale)| ValuesResult::Decimal(types::DecimalColumnResult { unscaled, scale })),
    ]
}

fn kind_of(values: &ValuesResult) -> FieldKind {
    match values {
        ValuesResult::Boolean(_) => FieldKind::Boolean,
        ValuesResult::Int32(_) => FieldKind::Int32,
        ValuesResult::Int64(_) => FieldKind::Int64,
        ValuesResult::Float64(_) => FieldKind::Float64,
        ValuesResult::Text(_) => FieldKind::Text,
        ValuesResult::Binary(_) => FieldKind::Binary,
        ValuesResult::Decimal(_) => FieldKind::Decimal,
        ValuesResult::Timestamp(_) => FieldKind::Timestamp,
        ValuesResult::Date(_) => FieldKind::Date,
        ValuesResult::Json(_) => FieldKind::Json,
    }
}

prop_compose! {
    fn hostile_emitted()(
        output in 0u32..3,
        source in prop::collection::vec(0u32..5, 0..5),
        partition_key in prop_oneof![Just(absent()), hostile_bytes()],
        event_us in prop_oneof![Just(Vec::new()), prop::collection::vec(any::<i64>(), 0..5)],
        operation in prop_oneof![Just(Vec::new()), prop::collection::vec(0u8..5, 0..5)],
        payload in prop_oneof![Just(absent()), hostile_bytes()],
        values in hostile_values(),
        null in prop_oneof![Just(Vec::new()), prop::collection::vec(0u8..3, 0..5)],
    ) -> types::Emitted {
        types::Emitted { output, source, partition_key, event_us, operation, payload, fields: vec![ColumnResult { values, null }] }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// The kind is what the guest sent, so that every check behind it is reached.
    #[test]
    fn no_result_panics_and_what_gets_through_is_whole(
        emitted in hostile_emitted(),
        sets in any::<[bool; 3]>(),
        optional: bool,
    ) {
        let kind = kind_of(&emitted.fields[0].values);
        let sets = Identity { partition_key: sets[0], event_time: sets[1], operation: sets[2], ..Identity::default() };
        let declared = output(vec![field(kind, optional)], sets);
        if let Ok(made) = given(of(vec![emitted]), 4, &[declared], 10) {
            let made = &made.outputs[0];
            let rows = made.source.len();
            prop_assert!(made.source.iter().all(|row| *row < 4));
            prop_assert_eq!(made.fields.num_rows(), rows);
            prop_assert!(made.fields.column(0).to_data().validate_full().is_ok());
            prop_assert!(optional || made.fields.column(0).null_count() == 0);
            prop_assert_eq!(made.event_us.as_ref().map(Vec::len), sets.event_time.then_some(rows));
            prop_assert_eq!(made.partition_key.as_ref().map(Cells::len), sets.partition_key.then_some(rows));
            prop_assert_eq!(made.operation.as_ref().map(Vec::len), sets.operation.then_some(rows));
        }
    }

    #[test]
    fn no_decimal_panics(bytes in prop::collection::vec(any::<u8>(), 0..40), scale in prop_oneof![-50i32..50, any::<i32>()]) {
        let value = decimal(&bytes, scale);
        prop_assert!(value.is_none_or(|value| value.abs() < 10i128.pow(38)));
    }

    #[test]
    fn decimals_survive(value in -(10i128.pow(37))..10i128.pow(37), nulls: bool) {
        let column = types::DecimalColumnResult { unscaled: bytes_of(&[&value.to_be_bytes()]), scale: 18 };
        let mask = if nulls { vec![1] } else { Vec::new() };
        let fields = vec![ColumnResult { values: ValuesResult::Decimal(column), null: mask }];
        let emitted = types::Emitted { fields, ..row(ValuesResult::Int64(Vec::new()), vec![0]) };
        let made = given(of(vec![emitted]), 1, &[output(vec![field(FieldKind::Decimal, true)], Identity::default())], 1).unwrap();
        let array = made.outputs[0].fields.column(0).as_primitive::<Decimal128Type>();
        prop_assert_eq!(array.iter().next().unwrap(), (!nulls).then_some(value));
    }
}

#[test]
fn a_refused_record_gives_no_rows_and_is_refused_once() {
    let refusal = |index: u32, code: &str| types::RecordError { index, code: code.into(), message: String::new() };
    let made = types::Processed {
        errors: vec![refusal(2, "first"), refusal(2, "second")],
        ..of(vec![types::Emitted {
            event_us: vec![10, 20, 30],
            ..row(ValuesResult::Text(bytes_of(&[b"a", b"b", b"c"])), vec![2, 0, 2])
        }])
    };
    let sets = Identity { event_time: true, ..Identity::default() };
    let made = given(made, 4, &[output(vec![field(FieldKind::Text, true)], sets)], 10).unwrap();
    let emitted = &made.outputs[0];
    assert_eq!((emitted.source.as_slice(), emitted.event_us.as_deref()), (&[0][..], Some(&[20][..])));
    assert_eq!(emitted.fields.column(0).as_string::<i32>().value(0), "b");
    assert_eq!(made.errors.iter().map(|error| error.code.as_str()).collect::<Vec<_>>(), ["first"]);
}

#[test]
fn a_value_is_there_or_not_and_nothing_else() {
    let lifted = |present: &[u8]| {
        let cells = bytes_of(&[b"a", b""]);
        optional(types::OptionalBytes { cells, present: present.to_vec() }, 2)
    };
    assert_eq!(lifted(&[1, 0]).unwrap(), [Some(b"a".to_vec()), None]);
    assert_eq!(lifted(&[1, 1]).unwrap(), [Some(b"a".to_vec()), Some(Vec::new())]);
    assert!(lifted(&[1, 255]).unwrap_err().contains("255, expected 0 or 1"));
    assert!(lifted(&[0, 0]).unwrap_err().contains("not there, but has 1 bytes"));
}
