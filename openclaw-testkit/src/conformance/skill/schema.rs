//! Schemas: what the manifest declares is what goes in and comes out.
//!
//! These laws read `type`, `required` and `additionalProperties` at the top of a schema: enough
//! to tell one that is checked from one that is decoration.

use openclaw_core::{ErrorKind, skill::SkillAnswer};
use serde_json::{Value, json};

use super::Trial;

/// The types that a value of this kind may be declared as.
fn types(value: &Value) -> &'static [&'static str] {
    match value {
        Value::Null => &["null"],
        Value::Bool(_) => &["boolean"],
        Value::Number(n) if n.is_f64() => &["number"],
        Value::Number(_) => &["number", "integer"],
        Value::String(_) => &["string"],
        Value::Array(_) => &["array"],
        Value::Object(_) => &["object"],
    }
}

/// Does the schema allow a value of this type? Nobody can tell where it names none.
fn allows(schema: &Value, value: &Value) -> Option<bool> {
    match schema.get("type")? {
        Value::String(name) => Some(types(value).contains(&name.as_str())),
        Value::Array(names) => {
            Some(names.iter().filter_map(Value::as_str).any(|name| types(value).contains(&name)))
        }
        _ => None,
    }
}

/// The fields that the schema asks for.
fn required(schema: &Value) -> impl Iterator<Item = &str> {
    let names = schema.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str)
}

/// Values that this schema surely refuses, made of one that it takes.
fn refused(schema: &Value, good: &Value) -> Vec<Value> {
    let others = [json!(null), json!(true), json!(7.5), json!("text"), json!([]), json!({})];
    let mut refused: Vec<Value> =
        others.into_iter().filter(|value| allows(schema, value) == Some(false)).collect();
    let Some(fields) = good.as_object() else { return refused };
    for name in required(schema) {
        let mut without = fields.clone();
        without.remove(name);
        refused.push(Value::Object(without));
    }
    if schema.get("additionalProperties") == Some(&json!(false)) {
        let mut more = fields.clone();
        more.insert("a-field-of-no-schema".to_owned(), json!(1));
        refused.push(Value::Object(more));
    }
    refused
}

/// Input of another type, without a required field, or with a field too many is refused.
pub async fn a_declared_input_schema_is_kept(trial: &Trial<'_>) {
    let schema = trial.skill().manifest().input.clone().expect("an input schema");
    for (at, input) in (0..).zip(refused(&schema, &trial.input(1))) {
        let e = trial.skill().validate(&input).err();
        let e = e.unwrap_or_else(|| panic!("it breaks the schema, and is taken: {input}"));
        assert_eq!(e.kind(), ErrorKind::ValidationError, "{input}: {e:?}");
        let answer = trial.run(trial.call(at, input.clone())).await;
        assert!(answer.is_err(), "it breaks the schema, and is run: {input}");
    }
    assert_eq!(trial.effects().await, 0, "effects of input that breaks the schema");
}

/// Output is of its declared type and has the required fields, and the skill takes no other.
pub async fn a_declared_output_schema_is_kept(trial: &Trial<'_>) {
    let schema = trial.skill().manifest().output.clone().expect("an output schema");
    for n in 0..3 {
        let answer = trial.ask(n, n).await.expect("an answer");
        let SkillAnswer::Done(output) = answer else { continue };
        assert_ne!(allows(&schema, &output), Some(false), "the type of {output}");
        for name in required(&schema) {
            assert!(output.get(name).is_some(), "the output has no {name:?}: {output}");
        }
        trial.skill().validate_output(&output).expect("its own output");
        for broken in refused(&schema, &output) {
            let e = trial.skill().validate_output(&broken).err();
            let e = e.unwrap_or_else(|| panic!("it breaks the schema, and is taken: {broken}"));
            assert_eq!(e.kind(), ErrorKind::ValidationError, "{broken}: {e:?}");
        }
    }
}
