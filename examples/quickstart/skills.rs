//! The shop as skills: look an order up, refund it. Real HTTP, through the `Http` port.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use openclaw_core::{
    Effect, Error, ErrorKind, OrFail, Result, SkillId, Touches,
    http::Http,
    skill::{Skill, SkillManifest},
};
use openclaw_skills::{
    Schemas, SkillCx,
    api::{Api, Template},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The skill that finds an order.
pub(crate) const LOOKUP: &str = "order.lookup";
/// The skill that refunds an order.
pub(crate) const REFUND: &str = "refund.create";
/// What `refund.create` says of an order that somebody refunded before.
pub(crate) const ALREADY_REFUNDED: &str = "the order was refunded before";

/// How long the shop remembers a key, at least.
const KEYS_LAST: Duration = Duration::from_secs(24 * 60 * 60);

/// Which order to find.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Lookup {
    /// The order's number, digits only.
    #[schemars(regex(pattern = "^[0-9]{1,10}$"))]
    order: String,
}

/// An order, as the shop knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Order {
    /// Its number.
    pub(crate) order: String,
    /// What was ordered.
    pub(crate) item: String,
    /// `processing`, `shipped` or `delivered`.
    pub(crate) status: String,
    /// What was paid, in the currency's smallest unit.
    pub(crate) amount_cents: u64,
    /// The currency, as in ISO 4217.
    #[schemars(regex(pattern = "^[A-Z]{3}$"))]
    pub(crate) currency: String,
    /// The refund's number, when there was one.
    pub(crate) refund: Option<String>,
}

/// What to refund.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Ask {
    /// The order's number, digits only.
    #[schemars(regex(pattern = "^[0-9]{1,10}$"))]
    order: String,
    /// How much, in the currency's smallest unit.
    #[schemars(range(min = 1))]
    amount_cents: u64,
}

/// A refund that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Refund {
    /// Its number.
    pub(crate) refund: String,
    /// The order's number.
    pub(crate) order: String,
    /// How much is paid back, in the currency's smallest unit.
    pub(crate) amount_cents: u64,
    /// The currency, as in ISO 4217.
    pub(crate) currency: String,
}

/// Both skills, calling the shop at this address.
///
/// # Errors
/// An address or a schema can't be used; the tests show that they can.
pub(crate) fn skills(http: Arc<dyn Http>, shop: SocketAddr) -> Result<Vec<Arc<dyn Skill>>> {
    let (schemas, shop) = (Schemas::new(), Shop::at(http, shop)?);
    let manifest = |id: &str| {
        SkillId::new(id)
            .map(|id| SkillManifest::new(id, "1.0.0").timeout(Duration::from_secs(10)))
            .before_send(ErrorKind::ValidationError)
    };

    let look_up = manifest(LOOKUP)?
        .describe("Finds an order by its number: item, status, amount, refund.")
        .effect(Effect::Pure)
        .touches(Touches::READS_PRIVATE);
    let here = shop.clone();
    let look_up = schemas.skill_fn(look_up, move |cx, input| here.clone().look_up(cx, input))?;

    let refund = manifest(REFUND)?
        .describe("Pays back an order, once. The amount is at most what was paid.")
        .effect(Effect::Keyed { retention: KEYS_LAST })
        .touches(Touches::WRITES | Touches::MONEY);
    let refund = schemas.skill_fn(refund, move |cx, input| shop.clone().refund(cx, input))?;
    Ok(vec![Arc::new(look_up), Arc::new(refund)])
}

/// The shop's API, and what is asked of it.
#[derive(Clone, Debug)]
struct Shop {
    api: Api,
    order: Template,
    refund: Template,
}

impl Shop {
    fn at(http: Arc<dyn Http>, address: SocketAddr) -> Result<Self> {
        let api = Api::builder("shop", &format!("http://{address}"))?.keyed(KEYS_LAST);
        Ok(Self {
            api: api.build(http)?,
            order: Template::get("/orders/{order}")?,
            refund: Template::post("/refunds")?,
        })
    }

    async fn look_up(self, cx: SkillCx, input: Lookup) -> Result<Order> {
        self.api.exchange(&cx).read(self.order.fill(&input)?).await
    }

    async fn refund(self, cx: SkillCx, input: Ask) -> Result<Refund> {
        // Without a key the shop takes each request for another refund.
        cx.require_key()?;
        let refund = self.api.exchange(&cx).read(self.refund.fill(&input)?).await;
        refund.map_err(|e| match e.kind() {
            // What the desk knows it by: the record of an effect keeps kind and message.
            ErrorKind::Conflict => {
                Error::new(ErrorKind::Conflict, ALREADY_REFUNDED).with_happened(e.happened())
            }
            _ => e,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use bytes::Bytes;
    use http::{Request, Response};
    use openclaw_core::{
        Call, Context, Happened, IdempotencyKey, MessageId, TenantId,
        http::{Body, IDEMPOTENCY_KEY},
        skill::SkillAnswer,
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::shop::tests::{ask, serve};

    /// The port over a plain socket: real HTTP, and it remembers what it sent.
    #[derive(Debug, Default)]
    struct Wire(Mutex<Vec<(Effect, Option<String>)>>);

    #[async_trait]
    impl Http for Wire {
        async fn send(&self, call: Call<Request<Bytes>>) -> Result<Response<Body>> {
            let request = call.payload();
            let key = request.headers().get(IDEMPOTENCY_KEY).and_then(|k| k.to_str().ok());
            self.0.lock().unwrap().push((call.effect(), key.map(str::to_owned)));
            let shop = request.uri().authority().unwrap().as_str().parse().unwrap();
            let line = format!("{} {}", request.method(), request.uri().path());
            let body = std::str::from_utf8(request.body()).unwrap();
            let (status, answer) = ask(shop, &line, key, body).await;
            let body = Body::full(answer.to_string());
            Ok(Response::builder().status(status).body(body).unwrap())
        }
    }

    async fn run(skills: &[Arc<dyn Skill>], id: &str, turn: u128, input: Value) -> Result<Value> {
        let skill = skills.iter().find(|s| s.manifest().id.as_str() == id).unwrap();
        let context = Context::new(TenantId::new("acme").unwrap());
        let key = IdempotencyKey::of(MessageId::from_u128(turn), "op").unwrap();
        let call = Call::skill(context, skill.manifest(), Arc::new(input)).with_key(key);
        match skill.run(call).await? {
            SkillAnswer::Done(output) => Ok((*output).clone()),
            SkillAnswer::Pending(_) => panic!("nothing here takes long"),
        }
    }

    #[tokio::test]
    async fn the_skills_call_the_shop_and_pass_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let (shop, _serving) = serve(&dir.path().join("shop.jsonl")).await;
        let wire = Arc::new(Wire::default());
        let skills = skills(Arc::<Wire>::clone(&wire), shop).unwrap();

        let order = run(&skills, LOOKUP, 1, json!({ "order": "1042" })).await.unwrap();
        assert_eq!((&order["status"], &order["refund"]), (&json!("shipped"), &Value::Null));
        let whole = json!({ "order": "1042", "amount_cents": 4990 });
        let first = run(&skills, REFUND, 1, whole.clone()).await.unwrap();
        assert_eq!(run(&skills, REFUND, 1, whole.clone()).await.unwrap(), first);

        let again = run(&skills, REFUND, 2, whole).await.unwrap_err();
        assert_eq!((again.kind(), again.message()), (ErrorKind::Conflict, ALREADY_REFUNDED));
        let unknown = run(&skills, LOOKUP, 1, json!({ "order": "9" })).await.unwrap_err();
        assert_eq!((unknown.kind(), unknown.happened()), (ErrorKind::NotFound, Happened::No));

        let sent = wire.0.lock().unwrap().clone();
        assert_eq!(sent[0], (Effect::Pure, None));
        let key = "00000000000000000000000001.op".to_owned();
        assert_eq!(sent[1], (Effect::Keyed { retention: KEYS_LAST }, Some(key)));
        assert_eq!(sent[1], sent[2]);
    }

    #[tokio::test]
    async fn bad_input_never_reaches_the_shop() {
        let wire = Arc::new(Wire::default());
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        let skills = skills(Arc::<Wire>::clone(&wire), nowhere).unwrap();
        for input in [json!({ "order": "../refunds" }), json!({ "order": 1042 }), json!({})] {
            let error = run(&skills, LOOKUP, 1, input).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ValidationError);
        }
        assert_eq!(wire.0.lock().unwrap().len(), 0);
    }
}
