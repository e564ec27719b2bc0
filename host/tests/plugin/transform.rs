//! Columns go in and come back as they should.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray, StringViewArray};
use arrow::datatypes::Int64Type;
use pelton::plugin::{FieldKind, Limits};

use super::{CALL, batch_of, context, fields_of, guest, plugins, quick, texts, transformer};

const MASK: &str = r#"{
    "fields": [
        {"path": "card", "type": "text", "mask": "keep_last"},
        {"path": "amount", "type": "int64", "mask": "keep"}
    ],
    "only": [{"path": "country", "value": "DE"}]
}"#;

#[tokio::test]
async fn the_mask_plugin_filters_and_masks_whatever_form_its_columns_have() {
    let (plugins, _) = plugins(quick());
    let mask = plugins.load(&guest("mask")).await.unwrap();
    let mut instance = transformer(&mask, MASK).await;
    let wanted: Vec<_> = instance.manifest().input().fields.iter().map(|f| (f.path.to_string(), f.kind)).collect();
    let named = |name: &str, kind| (name.to_owned(), kind);
    assert_eq!(
        wanted,
        [named("card", FieldKind::Text), named("amount", FieldKind::Int64), named("country", FieldKind::Text)]
    );
    let cards = vec![Some("unused"), Some("4111111111111111"), None, Some("42"), Some("5500000000000004")];
    let amounts: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), Some(1), Some(2), None, Some(4)]));
    let countries: ArrayRef = Arc::new(StringArray::from(vec!["", "DE", "DE", "DE", "FR"]));
    let forms: [ArrayRef; 2] =
        [Arc::new(StringArray::from(cards.clone())), Arc::new(StringViewArray::from_iter(cards.iter()))];
    for form in forms {
        let fields = fields_of(vec![("card", form), ("amount", amounts.clone()), ("country", countries.clone())]);
        // a slice, so that offsets do not start at 0
        let processed = instance.process(&CALL, &batch_of(fields.slice(1, 4))).await.unwrap();
        let output = &processed.outputs[0];
        assert_eq!(output.source, [0, 1, 2]);
        let masked: Vec<_> = output.fields.column(0).as_string::<i32>().iter().collect();
        assert_eq!(masked, [Some("************1111"), None, Some("**")]);
        let kept: Vec<_> = output.fields.column(1).as_primitive::<Int64Type>().iter().collect();
        assert_eq!(kept, [Some(1), Some(2), None]);
    }
}

#[tokio::test]
async fn a_config_that_the_plugin_refuses_is_the_users_mistake() {
    let (plugins, _) = plugins(quick());
    let mask = plugins.load(&guest("mask")).await.unwrap();
    let error = mask.transformer(context(r#"{"fields": []}"#)).await.unwrap_err();
    assert_eq!(error.kind(), pelton::error::Kind::Config);
    assert!(error.to_string().contains("no field is left"), "{error}");
}

#[tokio::test]
async fn a_fresh_instance_for_each_call_gives_the_same() {
    let batch = texts(["a", "b", "c"]);
    let mut results = Vec::new();
    for calls in [1, 100] {
        let (plugins, _) = plugins(Limits { calls, ..quick() });
        let plugin = plugins.load(&guest("hostile_plugin")).await.unwrap();
        let mut instance = transformer(&plugin, r#"{"do": "ok"}"#).await;
        for _ in 0..3 {
            results.push(instance.process(&CALL, &batch).await.unwrap());
        }
    }
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(results[0].outputs[0].fields.column(0).is_valid(0));
}

#[tokio::test]
async fn an_empty_batch_is_a_call_like_any_other() {
    let (plugins, _) = plugins(quick());
    let plugin = plugins.load(&guest("hostile_plugin")).await.unwrap();
    let mut instance = transformer(&plugin, r#"{"do": "ok"}"#).await;
    let processed = instance.process(&CALL, &texts([])).await.unwrap();
    assert_eq!(processed.outputs[0].fields.num_rows(), 0);
}

#[tokio::test]
async fn a_batch_that_is_not_what_the_manifest_says_is_refused() {
    let (plugins, _) = plugins(quick());
    let plugin = plugins.load(&guest("hostile_plugin")).await.unwrap();
    let mut instance = transformer(&plugin, r#"{"do": "ok"}"#).await;
    let number: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let two = batch_of(fields_of(vec![("text", number.clone()), ("more", number)]));
    let failure = instance.process(&CALL, &two).await.unwrap_err();
    assert!(failure.to_string().contains("wants 1 fields, the batch has 2"), "{failure}");
}

/// Partitions may run on several threads; this does not compile if a call cannot move between them.
#[tokio::test]
async fn calls_can_move_between_threads() {
    fn movable<T: Send>(future: T) -> T {
        future
    }
    let (plugins, _) = plugins(quick());
    let plugin = plugins.load(&guest("hostile_plugin")).await.unwrap();
    let mut instance = transformer(&plugin, r#"{"do": "ok"}"#).await;
    let batch = texts(["a"]);
    movable(instance.process_or_bisect(&CALL, &batch)).await.unwrap();
}
