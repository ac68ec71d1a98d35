//! GraphQL: variables in; data, a part of it, or an error out.

use openclaw_core::{Effect, Effects, ErrorKind, Happened};
use openclaw_skills::api::{Operation, Reply};
use serde_json::{Value, json};

use super::{Port, context, crm, cx, exchange};

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Found {
    customer: Customer,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Customer {
    id: String,
}

fn find() -> Operation {
    let document = "query Find($email: String!) { customer(email: $email) { id } }";
    Operation::new(document).unwrap().variables(&json!({ "email": "ann@crm.test" })).unwrap()
}

fn rename() -> Operation {
    Operation::new("mutation Rename { rename(id: 7) { id } }").unwrap()
}

async fn asked<T: serde::de::DeserializeOwned>(
    operation: &Operation,
    status: u16,
    answer: Value,
) -> openclaw_core::Result<Reply<T>> {
    let api = crm().build(Port::always(status, answer)).unwrap();
    exchange(&api).graphql(operation).await
}

#[tokio::test]
async fn an_operation_goes_out_with_its_variables_and_its_name() {
    let port = Port::always(200, json!({ "data": { "customer": { "id": "7" } } }));
    let api = crm().build(port.clone()).unwrap();
    let found = exchange(&api).graphql::<Found>(&find()).await.unwrap().whole().unwrap();
    assert_eq!(found.customer.id, "7");
    let call = port.calls().pop().unwrap();
    assert_eq!(port.lines(), ["POST https://crm.test/api/graphql"]);
    let body: Value = serde_json::from_slice(call.payload().body()).unwrap();
    assert_eq!(body["operationName"], "Find");
    assert_eq!(body["variables"], json!({ "email": "ann@crm.test" }));
    assert_eq!(call.effect(), Effect::Pure, "a query only reads");
    exchange(&api).graphql::<Value>(&rename().at("/v2/graphql")).await.unwrap();
    let call = port.calls().pop().unwrap();
    assert_eq!(
        (call.effect(), call.payload().uri().path()),
        (Effect::AtMostOnce, "/api/v2/graphql")
    );
}

#[tokio::test]
async fn a_part_is_never_taken_for_the_whole() {
    let answer = json!({
        "data": { "customer": null, "orders": [1] },
        "errors": [{ "message": "ann@crm.test is gone", "path": ["customer"], "extensions": { "code": "NOT_FOUND" } }],
    });
    let part = asked::<Found>(&find(), 200, answer.clone()).await.unwrap();
    let Reply::Partial { data, errors, .. } = &part else { panic!("{part:?}") };
    assert_eq!(data["orders"], json!([1]));
    assert_eq!((errors[0].kind, errors[0].pointer.as_str()), (ErrorKind::NotFound, "/customer"));
    assert!(!format!("{errors:?}").contains("ann@"));
    let e = part.whole().unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::NotFound, Happened::No));
    let e = asked::<Found>(&rename(), 200, answer).await.unwrap().whole().unwrap_err();
    assert_eq!(e.happened(), Happened::Maybe, "another field of it was changed, perhaps");
}

#[tokio::test]
async fn a_part_behind_a_mutation_never_says_that_nothing_happened() {
    let port = Port::new(|number, _| {
        let errors = json!([{ "message": "x", "path": ["a"] }]);
        let part = json!({ "data": { "a": null }, "errors": errors });
        let body = if number == 2 { json!({ "data": {} }) } else { part };
        Ok(super::reply(200, &[], &body))
    });
    let api = crm().build(port).unwrap();
    let call = exchange(&api);
    let query = Operation::new("{ a }").unwrap();
    let before = call.graphql::<Value>(&query).await.unwrap().whole().unwrap_err();
    call.graphql::<Value>(&rename()).await.unwrap();
    let behind = call.graphql::<Value>(&query).await.unwrap().whole().unwrap_err();
    assert_eq!((before.happened(), behind.happened()), (Happened::No, Happened::Maybe));
}

#[tokio::test]
async fn an_operation_without_data_is_an_error() {
    let coded =
        |code: &str| json!({ "errors": [{ "message": "x", "extensions": { "code": code } }] });
    let e = asked::<Value>(&rename(), 200, coded("FORBIDDEN")).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::PermissionDenied, Happened::No));
    let e = asked::<Value>(&rename(), 200, coded("INTERNAL_SERVER_ERROR")).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::ServerError, Happened::Maybe));
    let e = asked::<Value>(&rename(), 400, coded("GRAPHQL_VALIDATION_FAILED")).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::ValidationError, Happened::No));
    assert!(e.context().any(|pair| pair == ("code", "GRAPHQL_VALIDATION_FAILED")));
    let e = asked::<Value>(&rename(), 200, json!({})).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::ServerError, Happened::Maybe));
}

#[tokio::test]
async fn data_of_another_shape_is_named_by_its_place() {
    let drifted = json!({ "data": { "customer": { "id": 7 } } });
    let e = asked::<Found>(&find(), 200, drifted.clone()).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::ValidationError, Happened::No));
    assert!(e.context().any(|pair| pair == ("pointer", "/customer/id")), "{e}");
    let e = asked::<Found>(&rename(), 200, drifted).await.unwrap_err();
    assert_eq!(e.happened(), Happened::Yes, "it was done, and is not understood");
}

#[tokio::test]
async fn a_shadow_run_neither_asks_nor_changes() {
    let port = Port::always(200, json!({ "data": {} }));
    let api = crm().build(port.clone()).unwrap();
    let shadow = api.exchange(&cx(context().with_effects(Effects::Withheld)));
    for operation in [find(), rename()] {
        let e = shadow.graphql::<Value>(&operation).await.unwrap_err();
        assert_eq!((e.kind(), port.count()), (ErrorKind::Unsupported, 0));
    }
}
